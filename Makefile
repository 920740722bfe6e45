# make demo     install, relay the demo pictures into the folder out (S3=1: into an S3 server started for it)
# make test     install, run the tests
# make check    linters, types, the engine's independence
# make dev      the Dagster UI with the demo origin running and its manifest ready to launch
# make lock     resolve the dependencies again

PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo dev test check lock clean

install: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "imgrelay needs Python 3.11 or later")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: install
	$(BIN)/python -m imgrelay_dagster.demo $(if $(S3),--s3)

dev: install
	$(BIN)/python -m imgrelay_dagster.demo.dev

test: install
	$(BIN)/pytest

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: install
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf .venv out storage history schedules staging .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
