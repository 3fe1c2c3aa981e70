# Everything a developer does. Each target does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := . plugins/cnn plugins/lstm plugins/transformer plugins/timm weights
EDITABLE := $(foreach package,$(PACKAGES),-e $(package))
READY := $(VENV)/ready
RIVALS := .venv-rivals
# Tests run side by side: several pools of threads on the same cores would only wait for one another.
ALONE := OMP_NUM_THREADS=1

.PHONY: setup demo test check lint bench rivals weights clean

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
	for name in startup plugins load text data rnn transformer hard_cases export language ucr; do \
		$(BIN)/python benchmarks/$$name.py --smoke || exit 1; \
	done
	if command -v chromedriver; then $(BIN)/python benchmarks/catalogue.py --smoke; fi

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	for name in startup plugins load text data train rnn transformer hard_cases language ucr finetuning export catalogue recommend_runs gpu; do \
		$(BIN)/python benchmarks/$$name.py || exit 1; \
	done
	$(BIN)/python benchmarks/recommend.py $(if $(EVIDENCE),--evidence $(EVIDENCE),--only runs zoo cuts)

# What benchmarks/train.py is measured against. It sees what is in .venv, so that all contestants have the same torch;
# .venv sees nothing of it.
rivals: setup
	$(BIN)/python -m venv --clear --without-pip $(RIVALS)
	$(BIN)/python -c "import sysconfig; print('import site; site.addsitedir(%r)' % sysconfig.get_path('purelib'))" \
		> $$(echo $(RIVALS)/lib/python*/site-packages)/beside.pth
	$(BIN)/python -m pip --python $(RIVALS)/bin/python install --quiet --constraint constraints.txt --group rivals

weights: setup
	$(BIN)/python weights/build.py

clean:
	rm -rf $(VENV) $(RIVALS) runs dist build .pytest_cache .mypy_cache .ruff_cache
