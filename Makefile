# `make run` and `make test` each create .venv and install what is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
export OMP_WAIT_POLICY ?= passive

.PHONY: run test check lint docs clean

run: $(STAMP)  ## Run the embedded benchmark: FGM against LGM on miniature victims
	$(BIN)/lgm-bench run --suite mini --out results/mini

check: run  ## Run it and compare its numbers with the expected ones
	$(BIN)/lgm-bench compare results/mini --against leaderboard/mini.json

test: export OMP_NUM_THREADS ?= 1
test: $(STAMP)  ## Run all tests in two processes; without real data, those that need it are skipped
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: $(STAMP)  ## Format check, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)  ## Build the documentation into build/site; a warning is an error
	$(PIP) --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[dev,gpu,interop,points,report,examples]'
	touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
