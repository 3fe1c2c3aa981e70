# Everything a developer does. Each target does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := . plugins/cnn plugins/lstm plugins/transformer plugins/timm weights
EDITABLE := $(foreach package,$(PACKAGES),-e $(package))
READY := $(VENV)/ready
# Tests run side by side: several pools of threads on the same cores would only wait for one another.
ALONE := OMP_NUM_THREADS=1

.PHONY: setup demo test check lint bench weights clean

setup: $(READY)

$(READY): constraints.txt pyproject.toml $(wildcard plugins/*/pyproject.toml) weights/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(EDITABLE) --group dev
	touch $@

demo: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

test: setup
	$(ALONE) $(BIN)/python -m pytest -q -m "not slow and not gpu" -n 2

check: setup lint
	$(ALONE) $(BIN)/python -m pytest -q -m "not gpu" -n 2
	for name in startup plugins load text data; do $(BIN)/python benchmarks/$$name.py --smoke || exit 1; done

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	for name in startup plugins load text data; do $(BIN)/python benchmarks/$$name.py || exit 1; done

weights: setup
	$(BIN)/python weights/build.py

clean:
	rm -rf $(VENV) runs dist build .pytest_cache .mypy_cache .ruff_cache
