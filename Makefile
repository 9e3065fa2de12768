# make run    everything set up, and the Job Controller in the foreground with a first message shown
# make test   every test
# make lint   ruff and mypy
# make bench  throughput, CPU and memory beside Postfix
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin

.PHONY: run test lint bench man clean

run: $(VENV)/.installed
	@mkdir -p var/log
	@echo "The log is in var/log/jobctl.log"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/twistd -n --pidfile= --logfile=var/log/jobctl.log jobctl --first-message

test: $(VENV)/.test
	$(BIN)/python -m pytest tests

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.test
	$(BIN)/python -m bench

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jobctl needs Python 3.11 or later; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -e .
	touch $@

$(VENV)/.test: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -e '.[test]'
	touch $@ $(VENV)/.installed

$(VENV)/.dev: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat -e '.[dev]'
	touch $@ $(VENV)/.test $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist *.egg-info
