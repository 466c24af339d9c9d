# make demo | test | lint | bench | soak | docs: each sets up all that it needs by itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 3

.PHONY: demo test lint bench soak fuzz docs clean

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

# Ten minutes of any bytes as scripts, led by what they reach; Linux only.
fuzz: $(VENV)/dev
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[fuzz]"
	mkdir -p .fuzz
	$(BIN)/python tests/formats/fuzz_readers.py -max_total_time=600 -max_len=400 .fuzz

docs: $(VENV)/dev
	$(BIN)/mkdocs build --quiet --strict
	@echo "the manual is in site/index.html"

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis opik-demo site .fuzz

$(VENV)/demo: pyproject.toml constraints.txt | $(VENV)/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[embedded]"
	@touch $@

$(VENV)/dev: pyproject.toml constraints.txt | $(VENV)/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@ $(VENV)/demo

$(VENV)/python:
	tools/make-venv $(PYTHON) $(VENV)
	@touch $@
