# The testbed's program alone: docker build -t aiopslab/testbed .
# Its images for a cluster without a registry: docker run --rm -v "$PWD/images:/out" aiopslab/testbed pack --out /out
FROM rust:1.89-bookworm AS build
WORKDIR /src
COPY . .
RUN RUSTFLAGS="-C target-feature=+crt-static -C strip=symbols" cargo build --release --locked --bin testbed --features testbed \
      --target "$(uname -m)-unknown-linux-gnu" \
 && cp "target/$(uname -m)-unknown-linux-gnu/release/testbed" /testbed

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends busybox-static && rm -rf /var/lib/apt/lists/*
COPY --from=build /testbed /usr/local/bin/testbed
ENTRYPOINT ["/usr/local/bin/testbed"]
