# make run | test | test-live | lint | bench | docs: each sets up .venv and builds first.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR
VENV := .venv
PY := $(VENV)/bin/python
PROBLEM ?= misconfig_app_hotel_res-mitigation-1
SEED ?= 0
need = @command -v $(1) >/dev/null 2>&1 || { echo "aiopslab needs $(2), and '$(1)' is not on the PATH; $(3)" >&2; exit 2; }

.PHONY: help
help: ## What there is to make
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 18

.PHONY: prerequisites
prerequisites:
	$(call need,cargo,a Rust toolchain (1.89 or newer),install it with rustup: https://rustup.rs)
	$(call need,python3,Python 3.11 or newer,install it from your distribution)
	$(call need,cc,a C linker,install gcc or clang)
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "aiopslab needs Python 3.11 or newer; python3 is $$(python3 -V 2>&1)" >&2; exit 2; }
	@python3 -c 'import venv, ensurepip' 2>/dev/null || { echo "aiopslab needs Python's venv module; on Debian: apt-get install python3-venv" >&2; exit 2; }

$(VENV)/.ready: pyproject.toml | prerequisites
	@test -x $(PY) || python3 -m venv $(VENV)
	@$(PY) -m pip install -q --upgrade "maturin>=1.8,<2" "gymnasium>=1.1,<2" "numpy>=1.26" "pytest>=8" "ruff>=0.8" "mypy>=1.13" "pdoc>=15"
	@touch $@

.PHONY: build
build: $(VENV)/.ready ## Build the extension into .venv (release)
	@source $(VENV)/bin/activate && maturin develop --release --quiet

.PHONY: run
run: build ## The runbook agent repairs PROBLEM on the simulated cluster
	@$(PY) -m aiopslab run $(PROBLEM) --agent runbook --seed $(SEED) --check

.PHONY: test
test: build ## Every test that needs no cluster
	cargo test --release --features bash,testbed
	$(PY) -m pytest

.PHONY: test-live
test-live: build ## Tests on a real cluster: $$KUBECONFIG, or one started here (root, Go; see tests/cluster/README.md)
	@PY=$(PY) tests/cluster/test_live.sh

.PHONY: lint
lint: $(VENV)/.ready ## Format and static checks
	cargo fmt --check
	cargo clippy --all-targets --features bash,testbed,live -- -D warnings
	cargo clippy --features python -- -D warnings
	$(VENV)/bin/ruff format --check python tests/py tests/live benchmarks
	$(VENV)/bin/ruff check python tests/py tests/live benchmarks
	$(VENV)/bin/mypy

.PHONY: format
format: $(VENV)/.ready ## Format in place
	cargo fmt
	$(VENV)/bin/ruff format python tests/py tests/live benchmarks
	$(VENV)/bin/ruff check --fix -q python tests/py tests/live benchmarks

.PHONY: bench
bench: build ## Speed and memory against the budgets
	cargo bench --features bash --bench kernel -- --max-time 1 | tee $(CARGO_TARGET_DIR)/kernel.txt
	$(PY) benchmarks/episode.py $(CARGO_TARGET_DIR)/kernel.txt

.PHONY: bench-live
bench-live: build ## Speed of live environments on $$KUBECONFIG's cluster
	$(PY) benchmarks/live.py

.PHONY: docs
docs: build ## API documentation, Rust and Python, into target/
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --features bash
	$(VENV)/bin/pdoc -o $(CARGO_TARGET_DIR)/pdoc aiopslab

STATIC := $(CARGO_TARGET_DIR)/$(shell uname -m)-unknown-linux-gnu/release/testbed

.PHONY: testbed
testbed: ## The testbed's program, static, and its images (an OCI layout in target/testbed-images)
	$(call need,cargo,a Rust toolchain (1.89 or newer),install it with rustup: https://rustup.rs)
	@test -x /bin/busybox || { echo "the testbed's images need a static BusyBox at /bin/busybox; on Debian: apt-get install busybox-static" >&2; exit 2; }
	RUSTFLAGS="-C target-feature=+crt-static -C strip=symbols" cargo build --quiet --release --bin testbed --features testbed --target $(shell uname -m)-unknown-linux-gnu
	rm -rf $(CARGO_TARGET_DIR)/testbed-images.new
	$(STATIC) pack --out $(CARGO_TARGET_DIR)/testbed-images.new
	rm -rf $(CARGO_TARGET_DIR)/testbed-images && mv $(CARGO_TARGET_DIR)/testbed-images.new $(CARGO_TARGET_DIR)/testbed-images

.PHONY: record
record: ## Record kubectl on a real cluster (root, Go); see tests/fidelity/README.md
	python3 tests/fidelity/record.py

.PHONY: clean
clean: ## Remove what was built here
	rm -rf $(VENV) target dist
