# Every habit of the project. The environment is .venv in the checkout.
PYTHON ?= python3
BIN := .venv/bin
CONF ?= conf/digits.yaml

.PHONY: help install demo test lint format lock schema bench docs clean

help:  ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

install: .venv/.installed  ## create .venv from the hashed lock file

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ntkdist needs Python 3.11 or newer; say which with: make install PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install  ## the NTK analysis of the handwritten digits, into runs/digits.zarr
	$(BIN)/python -m flows.ntk_pipeline $(CONF)

test: install  ## all tests, with coverage
	$(BIN)/python -m pytest -n 3 --dist worksteal --cov --cov-report= tests
	$(BIN)/python -m coverage report --fail-under=94

lint: install  ## formatter, linter, type checker, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## format the sources
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:  ## resolve the dependencies again (then run the tests)
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes -q --upgrade --custom-compile-command "make lock" -o requirements.lock

schema: install  ## write the shipped JSON Schema from the models
	$(BIN)/python -c 'import json; from ntkdist.config import json_schema; print(json.dumps(json_schema(), indent=2, ensure_ascii=False))' > schema.tmp && mv schema.tmp ntkdist/config/schema.json

bench: install  ## side-by-side measurements
	$(BIN)/python benchmarks/gram.py

docs: install  ## the documentation site, into docs/_build/html (notebooks are executed)
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build/html

clean:  ## remove the environment and the runs
	rm -rf .venv runs
