# `make demo` and `make test` work on a fresh machine with Python >= 3.11, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REPORT := demo-report

.PHONY: demo test test-long docs clean

$(VENV)/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/ase-elf analyze examples/dense-hydrogen.extxyz -o $(REPORT)
	@echo "The report is $(REPORT)/report.html"

test: $(VENV)/installed
	$(BIN)/python -m pytest -m 'not long' $(PYTEST_ARGS)

# Soak, fuzz and kill tests: hours, by hand; the dated result goes to docs/reliability.md.
test-long: $(VENV)/installed
	$(BIN)/python -m pytest -m long $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) $(REPORT) build dist *.egg-info
