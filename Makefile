# Each target creates .venv and installs first when needed; `make paper` and `make test` are all a new machine needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MINUTES ?= 10
comma := ,
SUITE_OPTIONS = $(if $(ITERATIONS),--iterations $(ITERATIONS)) $(if $(SCALE),--scale $(SCALE)) $(if $(METHODS),--methods '$(METHODS)') \
	$(if $(DATASETS),--datasets '$(DATASETS)')

.DEFAULT_GOAL := help
.PHONY: help install paper ablation smoke test slow check format bench fuzz notebooks docs lock audit clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/installed ## create .venv and install gainbench with its development tools

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "gainbench needs Python 3.11 or newer; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) -e '.[dev]'
	touch $@

# A short run is one to look at: two trained methods beside the classical ones, on the data set of the contact sheet, unless
# METHODS or DATASETS names others.
paper: METHODS ?= $(if $(ITERATIONS),gain$(comma)partial_conv$(comma)telea$(comma)navier_stokes)
paper: DATASETS ?= $(if $(ITERATIONS),photos-230)
# Without a budget or a scale nothing is trained: the committed weights are evaluated, and compared with what is committed.
paper: REFERENCE = $(if $(ITERATIONS)$(SCALE),,--scale cpu --reference only)
paper: install ## evaluate the paper suite's committed weights; ITERATIONS=200 or SCALE=cpu|gpu|full trains, METHODS=a,b, DATASETS=a,b
	$(BIN)/python -m gainbench run --suite paper $(SUITE_OPTIONS) $(REFERENCE)

ablation: install ## train and evaluate GAIN's ablation suite
	$(BIN)/python -m gainbench run --suite ablation $(SUITE_OPTIONS)

smoke: install ## every part of the suite, in about a minute
	$(BIN)/python -m gainbench run --suite smoke $(SUITE_OPTIONS)

test: install ## the default tests (under five minutes on two cores)
	$(BIN)/python -m pytest

slow: install ## the slow tests
	$(BIN)/python -m pytest -n 0 -m slow

check: install ## formatting, lint, types and the floors of the house
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Limits on ratios to convolutions hold for one speed of convolutions: they were set where bfloat16 is 1.4 to 1.6 times as
# fast as float32. Matrix units (AMX) make it four times as fast, and little else, so they are left out unless asked for.
bench: export ONEDNN_MAX_CPU_ISA := $(or $(ONEDNN_MAX_CPU_ISA),AVX512_CORE_BF16)
bench: install ## speed and memory as ratios in one run; ONEDNN_MAX_CPU_ISA=DEFAULT with matrix units (AMX), too
	@echo "oneDNN: instructions up to $(ONEDNN_MAX_CPU_ISA)"
	$(BIN)/python -m pytest -n 0 -m benchmark tests/benchmarks

fuzz: install ## ten minutes of mutated input for the suite parser and the mask loader each (MINUTES=10)
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --quiet atheris \
		|| { echo 'atheris, which mutates the input, cannot be installed here: it needs a network, and a platform that it has wheels for'; exit 1; }
	$(BIN)/python tests/fuzz/suite_parser.py $(MINUTES)
	$(BIN)/python tests/fuzz/mask_loader.py $(MINUTES)

notebooks: install ## write notebooks/*.ipynb from the scripts they are paired with
	$(BIN)/jupytext --to ipynb --update notebooks/*.py

docs: install ## renew what the pages quote from the program
	$(BIN)/python docs/renew.py

lock: install ## write requirements-ci.txt, the releases that CI installs, from what is installed here
	$(BIN)/python .ci/lock.py requirements-ci.txt

audit: install ## ask an advisory service about the installed releases
	$(BIN)/python .ci/audit.py

clean: ## remove .venv and caches; results stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build *.egg-info
