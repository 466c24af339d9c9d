# make demo | test | lint | bench | soak | docs: each sets up all that it needs by itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2

.PHONY: demo test lint bench soak docs clean

demo: $(VENV)/demo
	$(BIN)/stepwell demo opik --scale $(or $(SCALE),1)

test: $(VENV)/dev
	tools/install-servers
	$(BIN)/pytest -n $(JOBS) --dist loadgroup -m "not soak"

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev
	tools/install-servers
	$(BIN)/python -m benchmarks

soak: $(VENV)/dev
	tools/install-servers
	$(BIN)/pytest -n $(JOBS) --dist loadgroup -m soak

docs: $(VENV)/dev
	$(BIN)/mkdocs build --quiet --strict
	@echo "the manual is in site/index.html"

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis opik-demo site

$(VENV)/demo: pyproject.toml constraints.txt | $(VENV)/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[embedded]"
	@touch $@

$(VENV)/dev: pyproject.toml constraints.txt | $(VENV)/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@ $(VENV)/demo

$(VENV)/python:
	tools/make-venv $(PYTHON) $(VENV)
	@touch $@
