# Every target starts from a bare checkout: Python 3.11+, make and a C compiler are enough.
PYTHON ?= python3
RUN := .venv/bin/python -m

.PHONY: demo test check bench contract lint setup doctor lock clean

demo: setup ## ship, catch a bad release, roll back; ends with a table of every request
	@$(RUN) sandbox.demo $(if $(KONG_ADMIN),--kong-admin $(KONG_ADMIN)) $(if $(KONG_PROXY),--kong-proxy $(KONG_PROXY))

test: setup ## the whole test suite
	@$(RUN) pytest --numprocesses auto --maxprocesses 4 --dist loadfile

check: lint test ## what every commit passes

lint: setup
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@.venv/bin/lint-imports

bench: setup ## side-by-side figures into benchmarks/results.json; ONLY=row for one of them
	@$(RUN) benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(KONG_ADMIN),--kong-admin $(KONG_ADMIN)) $(if $(KONG_PROXY),--kong-proxy $(KONG_PROXY))

contract: setup ## does Railway's live API still fit? (no token needed, nothing is changed)
	@$(RUN) sandbox.railway_contract https://backboard.railway.com/graphql/v2

setup: ## .venv and a Pulumi CLI, as far as they are missing
	@$(PYTHON) -m toolchain setup

doctor: ## which CLI, host and versions are used, and what is wrong
	@$(PYTHON) -m toolchain doctor

lock: setup ## compile the hashed requirements from pyproject.toml
	@$$($(PYTHON) -m toolchain uv) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.txt
	@$$($(PYTHON) -m toolchain uv) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements-dev.txt
	@$$($(PYTHON) -m toolchain uv) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header benchmarks/peers.in -o benchmarks/peers.txt

clean: ## what setup and runs made here; the cached CLI stays
	@rm -rf .venv .toolchain .sandbox reports
