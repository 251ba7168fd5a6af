# make install: .venv alone. make demo: the main job on this machine. make test, make check: what CI runs.
VENV   ?= .venv
PYTHON ?= python3
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.installed

.PHONY: install reference screenshots demo test check wheel clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/mnas search --template quick

test: $(STAMP)
	$(BIN)/python -m pytest -n 2

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

reference: $(STAMP)
	$(BIN)/python scripts/template_reference.py
	$(BIN)/python scripts/event_reference.py

# Needs chromium. The run is a real one, of some minutes, and is made once.
runs/screenshots/meta.json: | $(STAMP)
	$(BIN)/mnas search --template quick --name screenshots

screenshots: runs/screenshots/meta.json
	$(BIN)/python scripts/screenshots.py runs/screenshots docs/images
	$(BIN)/python scripts/monitor_screenshot.py runs/screenshots docs/images/monitor.svg

wheel: $(STAMP)
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache
