# Everything a person types. Each target sets up what it needs on a machine that has only
# git, make and Python 3.11 (or newer) with its venv module.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
COVERED := $(BIN)/coverage run -m pytest tests/core && $(BIN)/coverage report
MILLION := --reads 1000000 --unchecked-reads 50000 --buses 10

.PHONY: run test coverage bench mutants check format install install-dev system-packages clean

## Run the demo: a simulated plant room with the real agent. Options through ARGS='--for 30 --json'.
run: $(VENV)/.installed
	@$(BIN)/plantroom demo $(ARGS)

## Run all tests, those of the core with every branch counted; ARGS='tests/config -x' runs some. Installs
## what they need first.
test: $(VENV)/.installed-dev system-packages
	@$(if $(ARGS),$(BIN)/pytest $(ARGS),failed=0; \
	{ $(COVERED); } || failed=1; \
	$(BIN)/pytest --ignore=tests/core || failed=1; \
	exit $$failed)

## Run the tests of the core and name each branch of agent/core they do not take: there must be none.
coverage: $(VENV)/.installed-dev
	@$(COVERED)

## Measure the acquisition (some two minutes; FULL=1 makes the million reads, a quarter of an hour) and
## the whole agent (some twelve minutes), then the outbox (some forty, by the runs of its parts; FULL=1
## drains 100,000 records over a slow link as well, an hour).
## What is printed stands in docs/benchmarks.md, with what the other benchmarks are called.
bench: $(VENV)/.installed-dev
	@failed=0; \
	$(BIN)/python -m benchmarks.never_wrong $(if $(FULL),$(MILLION)) || failed=1; \
	for each in rtu_pace silent tcp_rate agent_steady agent_saturated agent_latency agent_outage uplink_brokers outbox_commit outbox_drain outbox_cuts outbox_syscalls outbox_kills core_cost; do $(BIN)/python -m benchmarks.$$each || failed=1; done; \
	PLANTROOM_MODEL_STEPS=20000 $(BIN)/pytest -q tests/core/test_model.py || failed=1; \
	PLANTROOM_DAMAGE_SEEDS=84 $(BIN)/pytest -q tests/outbox/test_damage.py || failed=1; \
	$(if $(FULL),$(BIN)/python -m benchmarks.outbox_drain --only far-small || failed=1;) \
	exit $$failed

## Cut the power of a small arm64 machine under QEMU: thousands of times from the log of its disk, and twenty
## times for good with the real agent in it (a quarter of an hour; installs QEMU and fails where it cannot).
vm-test: $(VENV)/.installed-dev
	@sh benchmarks/vm/packages.sh
	@failed=0; \
	for each in states whole_cuts; do $(BIN)/python -m benchmarks.vm.$$each || failed=1; done; \
	exit $$failed

## Change the core in thousands of small ways, one at a time, and see whether the tests of the core notice
## (about an hour; docs/mutants.md says what survived and why).
mutants: $(VENV)/.installed-dev
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mutation]'
	@PLANTROOM_MODEL_STEPS=400 PLANTROOM_LIVES=50 $(BIN)/mutmut run $(ARGS)
	@$(BIN)/mutmut export-cicd-stats && cat mutants/mutmut-cicd-stats.json
	@$(BIN)/mutmut results

## Format, lint, strict types: must be clean.
check: $(VENV)/.installed-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

## Put the code into its format and mend what the linter can mend.
format: $(VENV)/.installed-dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Plantroom needs Python 3.11 or newer; PYTHON=/path/to/python3.11 make ... names another one." >&2; exit 1; }
	@echo "Making $(VENV) ..." >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing the agent (once) ..." >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,gpio]' || \
	  $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing what the tests need (once) ..." >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	@touch $@

# mosquitto, mbpoll, promtool ... through apt on Debian; a laptop without them gets loud skips.
system-packages:
	@sh tests/system-packages.sh

clean:
	rm -rf $(VENV) mutants .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
