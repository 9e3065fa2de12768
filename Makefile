# make run    everything set up, and the Job Controller in the foreground with a first message shown
# make test   every test; with COVERAGE=1 also how much of the code they run
# make lint   ruff and mypy
# make pages  the manual page, docs/options.md and docs/selectors.md, from what the code says
# make bench  throughput, CPU and memory beside Postfix
PYTHON ?= python3
VENV   ?= .venv
# One more than two cores: many tests wait.
WORKERS ?= 3
BIN     = $(VENV)/bin
ALL_FILES = from coverage import Coverage; all = Coverage(config_file=False, data_suffix=True, source=['jobctl', 'channels']); \
	all.start(); import jobctl, channels; all.save()

.PHONY: run test lint bench pages clean

run: $(VENV)/.installed
	@mkdir -p var/log
	@echo "The log is in var/log/jobctl.log"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/twistd -n --pidfile= --logfile=var/log/jobctl.log jobctl --first-message

test: $(VENV)/.test
ifdef COVERAGE
	$(BIN)/python -m coverage erase
	JOBCTL_SOURCE="$(CURDIR)" $(BIN)/python -m coverage run -m pytest tests -n $(WORKERS) --dist loadfile
	# What no process ran counts, too.
	$(BIN)/python -c "$(ALL_FILES)"
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --fail-under=90
else
	$(BIN)/python -m pytest tests -n $(WORKERS) --dist loadfile
endif

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.test
	$(BIN)/python -m bench

pages: $(VENV)/.test
	$(BIN)/python -m jobctl.commands.manual docs/man
	$(BIN)/python -c "from jobctl.config.manual import options_page; print(options_page(), end='')" > docs/options.md
	$(BIN)/python -c "from jobctl.selection.manual import selectors_page; print(selectors_page(), end='')" > docs/selectors.md

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
