# Every target sets up what it needs in .venv and takes no other step.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TAPE ?=
# Tests wait more than they compute: more workers than cores.
WORKERS ?= 4
# The theme announces its own end of life on every build.
export NO_MKDOCS_2_WARNING := 1

.PHONY: demo test check docs bench clean

demo: $(VENV)/.bot
	$(BIN)/python -W error examples/order_life.py $(if $(TAPE),--tape "$(TAPE)")

test: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m "not slow"

check: $(VENV)/.dev $(VENV)/.docs
	bash .ci/check

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict --quiet --site-dir site
	@echo "open site/index.html"

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/run.py

clean:
	rm -rf $(VENV) .venv-* site build dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "Python 3.10 or newer is needed: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.bot: pyproject.toml $(VENV)/.python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[bot]'
	@touch $@

$(VENV)/.dev: pyproject.toml tests/contract/clients.txt $(VENV)/.python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -r tests/contract/clients.txt
	@touch $@ $(VENV)/.bot

$(VENV)/.docs: pyproject.toml $(VENV)/.python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[docs]'
	@touch $@
