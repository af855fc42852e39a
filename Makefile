# The front door: `make` lists what there is. A recipe is one line; what needs more is a script in tools/.

PYTHON ?= python3
ARGS ?=
CHECKS ?=

.DEFAULT_GOAL := help
.PHONY: help test fmt fmt-check lint tests test-mesh gen demo bench bench-kube fuzz deny image tools

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: fmt-check lint tools tests ## all that CI runs: format, lints, tests

fmt: ## format the code
	cargo fmt

fmt-check:
	@tools/timed format cargo fmt --check

lint: ## clippy on everything, with and without the emulator; links in doc comments
	@tools/timed lint cargo clippy --locked --all-targets -- -D warnings
	@tools/timed lint-release cargo clippy --locked --no-default-features --lib --bins -- -D warnings
	@tools/timed lint-docs cargo doc --locked --no-deps --document-private-items --quiet

tests:
	@tools/timed tests cargo test --locked

test-mesh: tools ## the tests with control planes alone: Istio and Envoy Gateway
	@tools/timed tests-mesh cargo test --locked --test mesh_istio --test mesh_eg

gen: ## rewrite all that is generated and committed: look at the diff
	ENTRANCE_UPDATE=1 cargo test --locked --test mesh_istio --test mesh_eg requests
	ENTRANCE_UPDATE=1 cargo test --locked --test goldens --test access_matrix --test chart --test integrations

demo: ## the whole thing on this machine; `make demo ARGS=--once` ends after the tour
	@tools/timed envoy $(PYTHON) tools/install.py envoy
	cargo run --locked -- demo $(ARGS)

bench: ## the costs of parts, then those of a check against a server that always allows; wants h2load
	cargo bench --locked --bench costs --bench token_cache
	$(PYTHON) tools/bench_floor.py $(ARGS)

bench-kube: tools ## the costs in a cluster: from a write to a decision, 10,000 policies, 1,000 subscribers
	cargo build --locked --release --bin entrance
	cargo bench --locked --profile dev --bench kube -- $(ARGS)

fuzz: ## each fuzz target for a minute; `make fuzz ARGS="600 token path"`
	tools/fuzz.sh $(ARGS)

deny: ## licences, versions, sources and advisories of dependencies; compiles cargo-deny the first time
	@tools/timed cargo-deny $(PYTHON) tools/install.py deny
	.tools/bin/cargo-deny --all-features check --deny unmatched-skip $(CHECKS)

image: tools ## the container image, without a container engine: target/image/; wants musl-tools
	rustup target add x86_64-unknown-linux-musl
	@tools/timed image $(PYTHON) tools/image.py $(ARGS)

tools: ## install Envoy, other proxies, a Kubernetes API server and what else tests need as .tools/; takes minutes the first time
	@tools/timed tools $(PYTHON) tools/install.py
