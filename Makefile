# Needs git, make and Python 3.11 or newer with venv; everything else is installed into .venv or named in one line.
.DEFAULT_GOAL := help
.PHONY: help venv demo test lint types pytest packages bench bench-report profile peers soak fuzz compiled wheel clean

BIN := .venv/bin

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

venv: .venv/ready ## .venv with egtunnel and the tools of its tests

.venv/ready: pyproject.toml setup.cfg setup.py .ci/venv
	@.ci/venv

demo: .venv/ready ## a small site through a real tunnel on this machine; CHECK=1 checks itself and ends
	@$(BIN)/python -m demo.run $(if $(CHECK),--check)

test: packages .venv/ready ## format, lint, types, then all tests
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory pytest

packages:
	@.ci/packages

lint: .venv/ready ## ruff: format and rules
	@echo "ruff format"
	@$(BIN)/ruff format --check --quiet .
	@echo "ruff check"
	@$(BIN)/ruff check --quiet .

types: .venv/ready ## mypy, strict
	@echo "mypy"
	@$(BIN)/mypy

pytest: .venv/ready ## the tests alone; ARGS="tests/mux -k credit" narrows them
	@$(BIN)/python -m pytest $(or $(ARGS),-n 2 --dist loadfile)

bench: .venv/ready ## measure egtunnel beside ssh -R and other tunnels; ARGS="--help" lists the options
	@$(BIN)/python -m bench $(ARGS)

bench-report: .venv/ready ## docs/benchmarks.md from the newest result, or ARGS="FILE"
	@$(BIN)/python -m bench.report $(ARGS)

profile: .venv/ready ## docs/profile.md: where the time of both daemons goes, by py-spy (as root)
	@$(BIN)/python -m bench.profile $(ARGS)

peers: .venv/ready ## install the other tunnels that can be had, outside the checkout, for make bench
	@$(BIN)/python -m bench.peers

soak: packages .venv/ready ## the long tests: gigabytes, hours of a stepped clock, cut links
	@$(BIN)/python -m pytest -m soak --timeout=1800 $(ARGS)

fuzz: .venv/ready ## random programs against the protocol core for SECONDS (60)
	@$(BIN)/python -m tests.fuzz.fuzz_mux --seconds $(or $(SECONDS),60) $(ARGS)

compiled: .venv/ready ## the package with its hot path compiled by mypyc, in build/compiled; needs a C compiler
	@EGTUNNEL_COMPILE=1 $(BIN)/python setup.py --quiet build --build-base build/base --build-lib build/compiled

wheel: .venv/ready ## dist/: wheel and source distribution; COMPILED=1 compiles the hot path for this machine's Python
	@EGTUNNEL_COMPILE=$(COMPILED) $(BIN)/python -m build --outdir dist $(if $(COMPILED),--wheel --no-isolation) .

clean: ## remove all that make made
	rm -rf .venv .tox build dist egtunnel.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf twisted/plugins/dropin.cache _trial_temp* tests.*/
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
