# Two commands do all the set-up: `make demo` runs the main job on the bundled data, `make test` passes the tests.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PYTEST = $(BIN)/python -m pytest --cov --cov-report=term:skip-covered
RUN ?= runs/demo
DATA ?= data

# Everything that a tool would put into the home folder stays in the checkout.
export DGLBACKEND := pytorch
export MPLCONFIGDIR := $(CURDIR)/$(VENV)/var/matplotlib
export DGL_DOWNLOAD_DIR := $(CURDIR)/$(VENV)/var/dgl
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-all format lint types contracts unit bench bench-accuracy serve clean

demo: $(VENV)/.app
	$(BIN)/recsys demo --out $(RUN)

test: format lint types contracts unit

test-all: format lint types contracts
	$(PYTEST)

format: $(VENV)/.dev
	$(BIN)/ruff format --check .

lint: $(VENV)/.dev
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

# A process for each core, of one thread; the tests of a file stay together, for they share what is costly to make.
unit: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(PYTEST) -m "not slow" -n logical --maxprocesses 4 --dist loadfile

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# Every row of benchmarks/notes/accuracy.md: hours. Says what it costs and asks first. DATA holds <dataset>/*.parquet.
bench-accuracy: $(VENV)/.dev
	$(BIN)/python -m benchmarks accuracy all --data $(DATA) $(if $(PEERS),--peers $(PEERS))

serve: $(VENV)/.app
	$(BIN)/recsys serve $(RUN)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.app: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@ $(VENV)/.app
