# Evenkeel's outside: each target is one thing that a person wants. `make` lists them.

TRIPLE := $(shell rustc -vV | sed -n 's/^host: //p')
BINARY := target/$(TRIPLE)/release/evenkeel

.DEFAULT_GOAL := help
.PHONY: help build demo demo-keep demo-down install check test prove pairs schedules endurance chaos likeness mistakes mutants fuzz bench systems systems-images

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r target text; do printf '  make %-14s %s\n' "$$target" "$$text"; done

build: ## Build the controller: one static binary, target/TRIPLE/release/evenkeel
	@# An explicit --target keeps the flag away from build scripts and procedural macros, and from the tests' builds.
	RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs" cargo build --release --bin evenkeel --target $(TRIPLE)

demo: build ## Watch a rollout, a failed one going back, and a killed replica healing, in two minutes
	@scripts/demo $(BINARY)

demo-keep: build ## The same, and leave it running to play with
	@scripts/demo $(BINARY) --keep

demo-down: ## Remove what demo-keep left
	@scripts/demo --down

install: build ## Install it as a service of systemd, or a newer version over an older one; needs root
	deploy/install

check: ## The quick part: format, lints, and every test that needs no engine
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	@# With --all-targets, cargo leaves out the tests that `cargo test` does not run.
	cargo clippy --test docker --test prove -- -D warnings
	cargo test

test: export EVERY_PREFIX = 1
test: ## Everything: check, faults in simulation, real engines 20.10 and 26.1 of its own, a short fuzzing
	@# What the engines' tests run is compiled beside the checks, which leave a core free most of the time, and tells its errors below.
	nice -n 19 $(MAKE) build >/dev/null 2>&1 & $(MAKE) check; status=$$?; wait; exit $$status
	$(MAKE) build
	PROVE_PROFILE=dev scripts/prove --schedules 60 --seed 1
	@# The same points for every commit: a few of all are known to fail (docs/reliability.md, Limits), and a commit must not
	@# fail for those by chance. The seed is one that picks none of them.
	PROVE_PROFILE=dev scripts/prove --sample 1 of 2000
	PROVE_PROFILE=dev scripts/prove --crashes 300
	@# The engines' tests wait more than they compute: what the fuzzing needs is built meanwhile, and tells its errors below.
	nice -n 19 scripts/fuzz --build >/dev/null 2>&1 & scripts/docker-tests; status=$$?; wait; exit $$status
	scripts/fuzz --seconds 5

mistakes: ## Make the mistakes of history again, one by one, and see each found: a quarter of an hour
	scripts/mistakes

mutants: ## Make small changes to the code of volumes, removals and secrets, one by one, and see each found: two hours
	scripts/mutants

fuzz: ## Search for inputs that crash or cost too much, SECONDS for each door (600)
	scripts/fuzz --seconds $(or $(SECONDS),600)
	scripts/fuzz --large

prove: ## Every fault at every call and every write of every scenario, in simulation
	scripts/prove

pairs: ## Two faults in a row, in simulation: a sample of those of eight core scenarios
	scripts/prove --pairs core 0 of 4

schedules: ## 100,000 random schedules of edits, accidents and faults, in simulation: hours (make test plays the first 60)
	scripts/prove --schedules 100000

endurance: build ## 100,000 crashes and a month in simulation, an hour with 500 containers on a real engine: two hours
	@scripts/endurance $(BINARY)

chaos: ## Every fault at every change, and at some looks, on real engines of both generations: hours (make test plays a sample)
	scripts/chaos

likeness: ## Random requests to the simulated engine and to real ones, which must look alike: an hour (make test plays five)
	scripts/likeness

systems: build ## Whole systems on a real engine, GENERATION 26 or 20, from nothing to a restored backup (make test plays the core of each)
	scripts/docker-tests --ignored --skip on_engine_$(if $(filter 20,$(GENERATION)),26,20) systems::

systems-images: ## Make the images of the systems' parts and of their host: two minutes each, once (scripts/images says what is in them)
	@scripts/images systems
	@scripts/images host

bench: build ## The figures that Evenkeel promises, measured against the engine itself and docker compose
	scripts/bench $(BINARY)
