# make demo    watch two peers find each other and exchange data
# make test    run every test
# make nat-matrix    every kind of NAT against every other, as root; tests/nat/matrix.py says how to choose
# make soak    peers of ours and of Node that are killed and restarted for a minute
# make simulate    towns of peers in random trouble, on virtual internets; SIMULATE="--first 7 --seeds 1" repeats one
# make bench   measure side by side with Node, and with iroh and libp2p from PyPI, for ten minutes at most; writes
#              docs/benchmarks.md
# make growth  look-ups in networks of up to 10,000 nodes, on virtual time; writes docs/growth.md
# make lint    style      make types   types      make clean   remove what was set up
#
# Each sets up by itself what it needs: a virtual environment in .venv, and Node's packages where npm is installed.

VENV := .venv
RUN := $(VENV)/bin/python
WORKERS := auto
NODE_PACKAGES := tests/interop/node_modules

# what the benchmarks compare with, from PyPI: in an environment of its own, as it brings many packages along
BENCH_VENV := .venv-bench
BENCH_PEERS := iroh libp2p
iroh := iroh >= 1.2, < 2
libp2p := libp2p >= 0.8.1, < 0.9

# the first of these that is new enough; or say: make PYTHON=/path/to/python test
PYTHON = $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,\
	$(if $(shell $(name) -c 'import sys; print("ok" * (sys.version_info >= (3, 11)))' 2>/dev/null),$(name))))

.PHONY: demo test nat-matrix soak simulate bench growth lint types clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	@$(RUN) -m swarm.cli demo

# Workers: as many as tests/conftest.py says; they take tests from each other, so that none is idle at the end. The tests
# start hundreds of programs in Python: what it compiles for one it must keep for the others.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/installed-dev $(NODE_PACKAGES)/installed
	$(RUN) -m pytest -n $(WORKERS) --dist worksteal $(TESTS)

nat-matrix: $(VENV)/installed-dev $(NODE_PACKAGES)/installed
	$(RUN) -m pytest -q -o faulthandler_timeout=0 tests/nat/matrix.py

soak: $(VENV)/installed-dev $(NODE_PACKAGES)/installed
	$(RUN) tests/soak/churn.py $(SOAK)

simulate: $(VENV)/installed-dev
	$(RUN) tests/soak/simulate.py $(SIMULATE)

# from its own folder: pystun3 installs a package called tests
bench: $(VENV)/installed $(NODE_PACKAGES)/installed $(BENCH_PEERS:%=$(BENCH_VENV)/%)
	cd tests && ../$(RUN) -m benchmarks $(MEASURES)

growth: $(VENV)/installed
	cd tests && ../$(RUN) -m benchmarks.growth $(NODES)

lint: $(VENV)/installed-dev
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check

types: $(VENV)/installed-dev
	$(RUN) -m mypy

clean:
	rm -rf $(VENV) $(BENCH_VENV) $(NODE_PACKAGES)

$(RUN):
	$(if $(PYTHON),,$(error Python 3.11 or newer is needed, and none of python3, python3.13, python3.12, python3.11 is))
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu install python3-venv."; exit 1; }

$(VENV)/installed: pyproject.toml | $(RUN)
	@echo "setting up $(VENV)"
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(RUN) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")' \
		> $(VENV)/dev.txt
	@$(RUN) -m pip install --quiet --disable-pip-version-check --requirement $(VENV)/dev.txt
	@touch $@

$(BENCH_VENV)/bin/python: | $(RUN)
	@$(RUN) -m venv $(BENCH_VENV)

# where one does not install, its rows say so, and the next run tries again
$(BENCH_PEERS:%=$(BENCH_VENV)/%): $(BENCH_VENV)/%: | $(BENCH_VENV)/bin/python
	@echo "setting up $* in $(BENCH_VENV)"
	@$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check '$($*)' && touch $@ \
		|| echo "$* does not install here: the benchmarks go without it"

$(NODE_PACKAGES)/installed: tests/interop/package-lock.json
	@if command -v npm > /dev/null; then \
		cd tests/interop && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/installed; \
	else echo "npm is not installed: the tests against real Node will be skipped"; fi
