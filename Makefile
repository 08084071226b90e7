# `make demo` and `make test` work on a fresh machine with Python >= 3.11, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REPORT := demo-report

.PHONY: demo test test-long docs clean

$(VENV)/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,docs]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/ase-elf analyze examples/dense-hydrogen.extxyz -o $(REPORT)
	@echo "The report is $(REPORT)/report.html"

test: $(VENV)/installed
	$(BIN)/python -m pytest -m 'not long' $(PYTEST_ARGS)

# Soak, fuzz and kill tests: hours, by hand; the dated result goes to docs/reliability.md.
test-long: $(VENV)/installed
	$(BIN)/python -m pytest -m long $(PYTEST_ARGS)

# Warnings are errors: a page that names something that is gone does not build.
docs: $(VENV)/installed
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -b html docs docs/_build/html
	@echo "The site is docs/_build/html/index.html"

clean:
	rm -rf $(VENV) $(REPORT) docs/_build docs/cards build dist *.egg-info
