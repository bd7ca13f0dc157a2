# Two commands do all the set-up: `make demo` runs the main job on the bundled data, `make test` passes the tests.
# The first of these that is there; 3.11 is the one for which DGL is published (docs/python.md).
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.14,$(shell command -v $(name))))
VENV := .venv
BIN := $(VENV)/bin
PYTEST = $(BIN)/python -m pytest
COVERAGE = --cov --cov-report=term:skip-covered
RUN ?= runs/demo
DATA ?= data

# Everything that a tool would put into the home folder stays in the checkout.
export DGLBACKEND := pytorch
export MPLCONFIGDIR := $(CURDIR)/$(VENV)/var/matplotlib
export DGL_DOWNLOAD_DIR := $(CURDIR)/$(VENV)/var/dgl
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-all test-cluster format lint types contracts unit bench bench-accuracy serve site clean

demo: $(VENV)/.app
	$(BIN)/recsys demo --out $(RUN)

test: format lint types contracts unit

# The slow ones, too, and which lines no test reaches; that costs a fifth more.
test-all: format lint types contracts
	$(PYTEST) $(COVERAGE)

# Needs pip install "recsys[cluster]". Nodes, workers and the leader are killed: minutes.
test-cluster: $(VENV)/.dev
	$(BIN)/python -m pytest -m cluster

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
	OMP_NUM_THREADS=1 $(PYTEST) -m "not slow and not cluster" -n logical --maxprocesses 4 --dist loadfile

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

# Every row of benchmarks/notes/accuracy.md: hours. Says what it costs and asks first. DATA holds <dataset>/*.parquet.
bench-accuracy: $(VENV)/.dev
	$(BIN)/python -m benchmarks accuracy all --data $(DATA) $(if $(PEERS),--peers $(PEERS))

serve: $(VENV)/.app
	$(BIN)/recsys serve $(RUN)

# The pages of docs/ as a site, in site/; a broken link fails.
site: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then echo "No Python 3.11 to 3.14 is here. Install one, with its venv module:" >&2; \
	    echo "apt-get install python3 python3-venv, dnf install python3.12, brew install python@3.12," >&2; \
	    echo "or uv python install 3.12; then PYTHON=/its/path make $(MAKECMDGOALS)" >&2; exit 1; fi
	$(PYTHON) -m venv $(VENV)

$(VENV)/.app: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@ $(VENV)/.app
