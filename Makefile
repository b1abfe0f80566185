# The ways into this repository, from an empty machine to a running example.
#
# Owns: what each target needs before it can start. How a machine is set up is .ci/setup's, how the
# guest is built is make-guest's.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup packages guest build demo down test lint bench fuzz clean cargo

quickstart := compose-examples/quickstart
compose := ./target/release/vmcompose -c qemu:///system -f $(quickstart)/vmcompose.yaml
# `make build` and the demo agree on where the program is, whatever the user's cargo is set to.
export CARGO_TARGET_DIR := $(CURDIR)/target

help: ## Show this list
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing (libvirt, QEMU, a C linker) and start libvirt
	@.ci/setup

packages:
	@.ci/setup --packages

cargo:
	@command -v cargo >/dev/null || { echo "vmcompose: cannot find cargo: install Rust with rustup, or put cargo on the PATH" >&2; exit 1; }

guest: packages ## Build the quickstart's guest: a kernel and an initramfs of 3 MB
	@$(quickstart)/make-guest

build: cargo packages ## Build target/release/vmcompose
	cargo build --release --locked

demo: cargo setup guest build ## Bring the quickstart's VMs up and show them
	$(compose) up
	$(compose) ps
	@echo "The VMs are running. Take them down with: make down"

down: ## Take the quickstart's VMs down again
	@test -x target/release/vmcompose || { echo "vmcompose: cannot take the demo down: target/release/vmcompose is not built (make build)" >&2; exit 1; }
	$(compose) down

# The tests run real VMs. Daemons that run already are left alone; those started here go afterwards,
# whatever the tests said, and without a word: the last one is the test runner's. Most tests wait for guests, not for a core.
test: cargo guest ## Run all tests, those on libvirt and QEMU included
	@trap '.ci/setup --stop' EXIT; .ci/setup --daemons --temporary; VMCOMPOSE_TEST_QEMU=1 RUST_TEST_THREADS=4 cargo test --locked

lint: cargo packages ## Check formatting, clippy and the documentation
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

bench: cargo packages ## Run the benchmarks
	cargo bench --locked

# libFuzzer on the stable compiler: the flags that `cargo fuzz` would set, without its nightly. With a target named, they
# are not for build scripts.
coverage := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
	-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing
seconds ?= 60

fuzz: cargo packages ## Fuzz the parser and interpolation, `seconds` each (needs a C++ compiler)
	for target in fuzz_parser fuzz_interpolation; do mkdir -p target/corpus/$$target; RUSTFLAGS="$(coverage)" CARGO_TARGET_DIR=target/fuzz \
	    CARGO_PROFILE_RELEASE_LTO=off cargo run --release --target $$(rustc -vV | sed -n 's/^host: //p') --features fuzz --example $$target -- -max_total_time=$(seconds) -timeout=10 $(CURDIR)/target/corpus/$$target; done

clean: cargo ## Remove what was built, the quickstart's guest included
	@.ci/setup --stop
	cargo clean
	rm -rf $(quickstart)/guest
