# `make demo` and `make test` need nothing but Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2

.PHONY: demo test fuzz graphs sizes lint format docs clean

demo: $(VENV)/.installed
	$(BIN)/pantile demo

test: $(VENV)/.installed lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

# New random examples for the property tests; `make test` takes the same ones each time.
fuzz: $(VENV)/.installed
	PANTILE_HYPOTHESIS=fuzz OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) $$(grep -rl '^from hypothesis' tests --include='test_*.py')

# Whole networks compiled and exported, where that takes too long for `make test`, which traces their parts.
graphs: $(VENV)/.installed
	PANTILE_GRAPHS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) tests/models -k "graph_break or exports"

# Parameters of every recipe and all rows of the papers' cost tables counted; `make test` counts a part.
sizes: $(VENV)/.installed
	PANTILE_SIZES=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/recipes/test_recipe_cards.py tests/models/test_panoptic_deeplab.py

lint: $(VENV)/.installed
	$(BIN)/ruff check src tests benchmarks examples docs/conf.py
	$(BIN)/ruff format --check src tests benchmarks examples docs/conf.py

format: $(VENV)/.installed
	$(BIN)/ruff check --fix src tests benchmarks examples docs/conf.py
	$(BIN)/ruff format src tests benchmarks examples docs/conf.py

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# docs/, the README and the API as a site; what does not fit, such as a link to nowhere, is an error.
docs: $(VENV)/.installed
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/site

clean:
	rm -rf $(VENV) runs .pytest_cache .ruff_cache
