# The two commands of the README, and what they are made of. Everything is installed into .venv in this folder.

PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
UI_SOURCES := $(shell find ui -type f -not -path '*/node_modules/*' 2>/dev/null)
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test check ui docs programs bench bench-serving bench-tracking bench-runs bench-training bench-auto clean

help:  ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: $(VENV)/.installed  ## Set up, then go from a raw file to a secured prediction. Your own: make demo CSV=my.csv TARGET=price
	@$(BIN)/lepton demo $(if $(CSV),--csv "$(CSV)") $(if $(TARGET),--target "$(TARGET)")

test: $(VENV)/.installed-dev programs  ## Set up, then pass every check and test
	@$(BIN)/python tests/all.py

programs:
	@$(VENV)/bin/python tests/programs.py

docs: $(VENV)/.installed-dev  ## Build the documentation into site/
	@$(BIN)/mkdocs build --strict --quiet --site-dir site

bench: $(VENV)/.installed-dev  ## Run the benchmarks and print their tables
	@for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

bench-serving: $(VENV)/.installed-dev  ## Measure endpoints against other servers (25 minutes). Fewer: make bench-serving ARGS=--quick
	@PYTHONPATH=$(CURDIR) $(BIN)/python -m benchmarks.serving $(ARGS)

bench-tracking: $(VENV)/.installed-dev  ## Measure tracking against MLflow's server (25 minutes). Fewer: make bench-tracking ARGS='--runs 5000'
	@PYTHONPATH=$(CURDIR) $(BIN)/python -m benchmarks.tracking $(ARGS)

bench-runs: $(VENV)/.installed-dev  ## Measure runs against Ray Jobs (10 minutes). Fewer: make bench-runs ARGS=--quick
	@PYTHONPATH=$(CURDIR) $(BIN)/python -m benchmarks.runs $(ARGS)

bench-training: $(VENV)/.installed-dev  ## Measure the linear models against scikit-learn (15 minutes). Fewer rows: make bench-training ARGS=--quick
	@PYTHONPATH=$(CURDIR) $(BIN)/python -m benchmarks.training $(ARGS)
	@PYTHONPATH=$(CURDIR) $(BIN)/python -m benchmarks.training.frameworks

bench-auto: $(VENV)/.installed-dev  ## Measure the recipe auto against FLAML (45 minutes). Fewer: make bench-auto ARGS=--quick
	@PYTHONPATH=$(CURDIR) $(BIN)/python -m benchmarks.auto $(ARGS)

clean:  ## Remove everything that make made
	rm -rf $(VENV) .bench site dist ui/node_modules src/lepton/server/static

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Lepton needs Python 3.11 or newer. Install it, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt hatch_build.py $(UI_SOURCES)
	@echo "Installing Lepton and building its web page (one to three minutes the first time) …"
	@$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing what the tests need …"
	@$(BIN)/pip install --quiet --editable '.[dev,postgres]'
	@touch $@
