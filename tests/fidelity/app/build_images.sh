#!/bin/bash
# build_images.sh OUT_DIRECTORY: compile the program and pack it as the app's images, one archive per image.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pack=$here/../../cluster/pack_image.py
out=${1:?usage: build_images.sh OUT_DIRECTORY}
images=(fidelity/web:1.0 fidelity/web:2.0 fidelity/worker:1.0 fidelity/tools:1.0)
servers=(web unready idle stubborn tick lines crash done init eat later exit)
tools=(echo cat env printenv ls hostname fetch)

command -v gcc >/dev/null || { echo "build_images.sh: missing program: gcc" >&2; exit 1; }
mkdir -p "$out"
gcc -static -Os -Wall -o "$out/program" "$here/program.c"
strip "$out/program"
contents=("$out/program=/program")
for name in "${servers[@]}"; do contents+=("@/program=/$name"); done
for name in "${tools[@]}"; do contents+=("@/program=/bin/$name"); done
for image in "${images[@]}"; do
  archive=$out/$(echo "$image" | tr '/:' '--').tar
  printf '%s\n' "$image" >"$out/version"
  # a version file keeps the images apart: equal bytes would be one image with two names
  python3 "$pack" "$archive" "docker.io/$image" --entrypoint /web "${contents[@]}" "$out/version=/etc/version"
  echo "$archive"
done
