# Needs Python 3.10-3.13 and make, nothing else. Everything is installed into .venv; stamps keep a second run from reinstalling.
VENV    := .venv
BIN     := $(VENV)/bin
STAMPS  := $(VENV)/stamps
HOST    ?= 127.0.0.1
PORT    ?= 7860
WORKERS ?= 2
# Each worker computes with one thread: two workers of one thread beat one worker of two on small tensors.
PYTEST  := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS)
# PYTHON=... chooses the interpreter; otherwise the first one of a supported version that really starts.
PYTHON  ?= $(shell for p in python3.12 python3.11 python3.13 python3.10 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1 && { echo $$p; break; }; done)

.PHONY: help app test check lint docs notebooks install clean

help:
	@echo "make app    install and open the app on http://$(HOST):$(PORT)"
	@echo "make test   install the test extras and run all tests"
	@echo "make check  the fast subset of the tests"
	@echo "make lint   style checks"
	@echo "make docs   make the README's table new and build the documentation site into site/ (runs the notebooks that changed)"
	@echo "make notebooks  run the notebooks that changed, into build/notebooks"

app: $(STAMPS)/app
	$(BIN)/promptlab app --host $(HOST) --port $(PORT)

test: $(STAMPS)/test
	$(PYTEST) $(ARGS)

check: $(STAMPS)/test
	$(PYTEST) -m "not slow and not browser" $(ARGS)

lint: $(STAMPS)/test
	$(BIN)/ruff check .

docs: notebooks
	$(BIN)/python -m promptlab.docs README.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

notebooks: $(STAMPS)/docs
	$(BIN)/python notebooks/build.py

install: $(STAMPS)/test

$(STAMPS)/venv:
	@test -n "$(PYTHON)" || { echo "promptlab needs Python 3.10, 3.11, 3.12 or 3.13 on the PATH (or: make PYTHON=/path/to/python3)." >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS)
	touch $@

$(STAMPS)/app: $(STAMPS)/venv pyproject.toml
	$(BIN)/python -m pip install --disable-pip-version-check -q -e .
	touch $@

$(STAMPS)/test: $(STAMPS)/venv pyproject.toml
	$(BIN)/python -m pip install --disable-pip-version-check -q -e ".[test,docs,onnx]"
	touch $@ $(STAMPS)/app

$(STAMPS)/docs: $(STAMPS)/venv pyproject.toml
	$(BIN)/python -m pip install --disable-pip-version-check -q -e ".[docs]"
	touch $@ $(STAMPS)/app

clean:
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache
