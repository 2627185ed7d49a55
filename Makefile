# Two commands set everything up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test test-all notebooks claims bench-gpu lint clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --no-compile --quiet --disable-pip-version-check -e ".[dev]" # modules compile when first imported
	touch $@

demo: $(VENV)/.installed ## learn 8 people, draw them with and without the fusion stage, judge, compare
	$(RUN) -m src.ablate ablation=no_fusion

test: $(VENV)/.installed
	$(RUN) -m pytest -n auto -m "not slow and not gpu"

test-all: $(VENV)/.installed
	$(RUN) -m pytest -n auto -m "not gpu"

notebooks: $(VENV)/.installed ## run them on the embedded world
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --nbmake --nbmake-timeout=900 notebooks

claims: $(VENV)/.installed ## a small version of every claim; fails when a stored verdict has turned
	$(RUN) -m src.claims effort=quick

bench-gpu: $(VENV)/.installed ## speed at the paper's scale on one NVIDIA GPU: experiments/speed/gpu.md
	$(RUN) -m src.bench gpu

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check src tests
	$(VENV)/bin/ruff format --check src tests
	$(VENV)/bin/mypy

clean: ## environment and caches; results in runs/ stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache *.egg-info
