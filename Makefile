# The front door. On a fresh Debian 12 with stable Rust, git, make and apt nothing else has to be set up.

# Programs that users run, and the demo.
PROGRAMS := --package anet-controller --package anet-agent --package anet-vswitch --package anet-cli --package anet-lab --bins --example demo
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: demo test build bench lint packages test-packages bench-packages shim clean-lab

demo: build ## hosts by themselves, then a fabric with its controller; real traffic: what was tried, expected and seen
	@scripts/as-root $(TARGET)/release/examples/demo

test: test-packages shim ## every test; what this machine cannot run is skipped with its reason
	@$(CARGO) run --quiet --package anet-xtask -- test

build: packages shim ## release binaries in target/release/, DPDK's shim in target/dpdk/
	@$(CARGO) build --release $(PROGRAMS)

bench: bench-packages build ## figures beside the peers; ONLY=name,name chooses
	@$(CARGO) build --release --package anet-bench
	@scripts/as-root $(TARGET)/release/anet-bench $(if $(ONLY),--only $(ONLY))

lint: ## formatting and clippy, without a warning
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets -- -D warnings

packages:
	@scripts/install-packages

test-packages:
	@scripts/install-packages test

shim:
	@scripts/build-dpdk-shim $(abspath $(TARGET))/dpdk

bench-packages:
	@scripts/install-packages bench

clean-lab: build ## removes namespaces and folders that a killed run left behind
	@scripts/as-root $(TARGET)/release/examples/demo --sweep
