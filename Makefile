# `make demo` and `make test` work on a fresh machine with Python >= 3.11, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REPORT := demo-report
# Each process holds PyTorch, and is given one thread to compute with.
CORES := $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() or 1))')

.PHONY: demo check test test-docs test-long docs wheel clean

$(VENV)/installed: setup.cfg pyproject.toml build_backend.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

# What only tests and pages need is not fetched for the demo.
$(VENV)/installed-%: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	touch $@

demo: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/ase-elf analyze examples/dense-hydrogen.extxyz --step 3 --workers $(CORES) -o $(REPORT)
	@echo "The report is $(abspath $(REPORT))/report.html"

# Those marked `ci` take long, and those marked `dft` run the real programs; `.ci/run` runs both, by TESTS='not long'.
TESTS := not long and not ci and not dft

# What a change is checked by before it is committed: under two minutes. The tests are those of the core:
# what every other part computes with.
CORE := tests/test_grid.py tests/geometry tests/structures tests/statistics tests/formats tests/topology tests/plotting
check: export PATH := $(abspath $(BIN)):$(PATH)
check: $(VENV)/installed-test $(VENV)/installed-check
	ruff check --quiet
	ruff format --check --quiet
	codespell
	mypy --python-executable $(BIN)/python
	lint-imports --no-cache
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(CORES) -m '$(TESTS)' $(CORE) $(PYTEST_ARGS)

test: $(VENV)/installed-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) --dist loadfile \
	    -m '$(TESTS)' tests $(PYTEST_ARGS)

# README and docs are programs too: their code blocks, one after the other.
test-docs: $(VENV)/installed-test
	$(BIN)/python -m pytest README.md docs $(PYTEST_ARGS)

# Kills, faults, fuzzing, soak, bounds and audit: a day, by hand. Figures are added to those in
# benchmarks/results, from which docs/reliability.md is written.
FUZZ_MINUTES ?= 60
RESULTS := benchmarks/results
test-long: $(VENV)/installed-test
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,long]'
	$(BIN)/python -m pytest -m long $(PYTEST_ARGS)
	$(BIN)/python tests/tools/kills.py --kills 40 --results $(RESULTS)/kills.json
	cd tests/tools && ../../$(BIN)/python -m fuzz --minutes $(FUZZ_MINUTES)
	for size in small large; do for way in observer analyze; do \
	    $(BIN)/python tests/tools/soak.py $$way $$size --folder build/soak \
	        --results $(RESULTS)/soak.json || exit 1; done; done
	for end in lowest newest; do \
	    $(BIN)/python tests/tools/bounds.py $$end --all --results $(RESULTS)/bounds.json || exit 1; done
	$(BIN)/python tests/tools/reliability_page.py
	$(BIN)/python -m pip list --format=freeze --exclude-editable > build/installed.txt
	$(BIN)/pip-audit --strict --no-deps --disable-pip --requirement build/installed.txt

# Warnings are errors: a page that names something that is gone does not build.
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -b html docs docs/_build/html
	@echo "The site is docs/_build/html/index.html"

# What is released; no labels are.
wheel: export PATH := $(abspath $(BIN)):$(PATH)
wheel: $(VENV)/installed-check
	rm -rf dist
	python -m build --outdir dist
	twine check --strict dist/*
	check-wheel-contents dist/*.whl
	! python -m zipfile --list dist/*.whl | grep -E '/labels/|manifest\.csv|batches\.yaml'

clean:
	rm -rf $(VENV) $(REPORT) docs/_build docs/cards build dist *.egg-info
