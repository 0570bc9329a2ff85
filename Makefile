# Every target sets up what it needs, in .venv. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PORT ?= 8888

.DEFAULT_GOAL := help
.PHONY: help course test check bench lab docs preview lessons clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

course: $(READY)  ## three roads to a classifier on one table, the best one served and asked (under 10 minutes)
	$(BIN)/llmcourse run

test: $(READY)  ## run every lesson as a test, then all checks (under 30 minutes; with large models: LLMCOURSE_MODELS=all)
	$(BIN)/python -m pytest tests

check: $(READY)  ## the checks on the project, and only the lessons that changed since the last commit (minutes)
	$(BIN)/python tools/check.py

bench: $(READY)  ## measure speed beside peers, one script after another (best on a quiet machine)
	@for script in bench/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

lab: $(READY)  ## open a copy of the lessons in JupyterLab; your answers stay when the course is updated
	$(BIN)/python tools/lab.py --port $(PORT)

docs: $(READY)  ## build the site into _docs/
	$(BIN)/python tools/docs.py

preview: docs  ## build the site and serve it on this machine
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory _docs $(PORT)

lessons: $(READY)  ## export the lessons, run those that changed and keep their outputs, write README.md
	$(BIN)/python tools/lessons.py

clean:  ## remove what was built, but neither .venv nor runs/
	rm -rf _docs _proc build dist *.egg-info .pytest_cache

# torch first and by pip, so that the pinned build is the one that stays
$(READY): settings.ini setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "llmcourse needs Python 3.11 or newer; name one with: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@
