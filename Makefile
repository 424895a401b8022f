# make run · make boot · make test · make lint · make bench · make chaos · make proto · make sbom · make pins · make clean

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
UV := uv==0.13.8
# what is imported is compiled once, whatever the shell says
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run boot test test-all test-postgres lint lint-types lint-rest bench chaos proto sbom pins clean
.DELETE_ON_ERROR:

run: .venv/run.stamp
	@exec $(BIN)/python manage.py serve

# two nodes, PostgreSQL, Redis, Celery and HAProxy, as deploy/compose has them
boot: .venv/dev.stamp
	@exec $(BIN)/python -m deploy.boot $(ARGS)

# tests on real servers wait for a third of their time, in which those in a process go on beside them on PostgreSQL
test: .venv/dev.stamp
	@$(MAKE) --no-print-directory --jobs 2 test-all test-postgres

# each file's tests in one process; those that take longest, on real servers, come first, in one process more than there
# are processors
test-all: .venv/dev.stamp
	$(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder --numprocesses 3 $(ARGS)

# its report comes in one piece, at its end
ON_POSTGRES = tests/resources tests/sessions tests/audit tests/encryption
test-postgres: .venv/dev.stamp
	@report=$$($(BIN)/python -m pytest -p no:cacheprovider -p tests.stack.plugin --database=postgres $(ON_POSTGRES) 2>&1); status=$$?; \
	echo "$$report"; exit $$status

# types take as long as all the rest, beside which they are checked with `make --jobs 2 lint`
lint: lint-types lint-rest
lint-types: .venv/dev.stamp
	$(BIN)/mypy .
lint-rest: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

bench: .venv/bench.stamp
	@exec $(BIN)/python -m benchmarks $(ARGS)

# two nodes behind HAProxy, struck in every way; ARGS="--help" tells how much of it
chaos: .venv/dev.stamp
	@GRPC_ENABLE_FORK_SUPPORT=0 exec $(BIN)/python -m tests.chaos $(ARGS)

# the Python of proto/erlmcp/v1
proto: .venv/dev.stamp
	$(BIN)/python proto/generate.py

# what production is made of, as CycloneDX
sbom: .venv/dev.stamp
	$(BIN)/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml --output-reproducible --validate --output-file sbom.json

# requirements*.txt from requirements*.in: exact versions and hashes for Python 3.11 to 3.13, on any machine
PIN = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --quiet --custom-compile-command "make pins"
pins: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV)
	$(PIN) requirements.in --output-file requirements.txt $(ARGS)
	$(PIN) requirements-keys.in --constraint requirements.txt --output-file requirements-keys.txt $(ARGS)

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis benchmarks/build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "erlmcp needs Python 3.11, 3.12 or 3.13 with venv (Debian: apt-get install python3-venv), or PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/run.stamp: requirements.txt | $(BIN)/python
	@echo "installing requirements.txt into .venv (a minute or so, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	@touch $@

.venv/dev.stamp: requirements-dev.txt requirements-keys.txt .venv/run.stamp
	@echo "installing requirements-dev.txt into .venv (a minute or so, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-keys.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

.venv/bench.stamp: requirements-bench.txt .venv/dev.stamp
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-bench.txt
	@touch $@
