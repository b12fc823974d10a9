# Everything here is one latent-ot command; this file only sets up and forwards.
PYTHON ?= python3
DATASET ?= mnist5k
BUDGET ?= ci
SEEDS ?= 0
SPEED ?= metrics evaluators intervals assignment codes durability loop training sdot scale
TABLE ?= gldo-table1
VENV := .venv
BIN := $(VENV)/bin
export PYTHONUNBUFFERED := 1

.PHONY: bench test table claims leaderboard speed lint clean help
.DEFAULT_GOAL := help

help:  ## what there is to make
	@echo 'make bench        train, evaluate and rank the suite  [DATASET= SUBSET= METHODS=|all SEEDS= BUDGET=ci|short|paper GPUS= THREADS= EVALUATOR= DATA_DIR=]'
	@echo 'make table        a published table beside ours       [TABLE=gldo-table1 DATASET= BUDGET=; RUN=1 runs what is missing, SEEDS= SUBSET= GPUS= EVALUATOR= DATA_DIR= as above, STORE=; AGAINST=FILE compares]'
	@echo 'make claims       every claim, checked against the records'
	@echo 'make leaderboard  generate leaderboards/ from its results/'
	@echo 'make speed        what the suite costs, against peers [SPEED=which of benchmarks/speed; graphs, on a GPU]'
	@echo 'make test         the test suite                      [SLOW=1 for the long tests too]'
	@echo 'make lint         ruff, mypy and the import contracts'
	@echo 'make clean        remove the virtual environment and caches; trained stages under runs/ stay'

# Pinned packages, installed once; a change of the pins or of pyproject.toml installs again. Of two targets that are asked
# for at once one installs, and the other waits and finds it done; Python, since not every system has a flock.
ALONE := $(PYTHON) -c 'import fcntl, os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); \
	os.makedirs("$(VENV)", exist_ok=True); lock = os.open("$(VENV)/lock", os.O_CREAT | os.O_RDWR); \
	fcntl.flock(lock, fcntl.LOCK_EX); os.set_inheritable(lock, True); os.execvp(sys.argv[1], sys.argv[1:])'

$(VENV)/ready: pyproject.toml constraints.txt
ifndef VENV_IS_MINE
	@echo 'setting up $(VENV) (once, a few minutes)' >&2
	@$(ALONE) $(MAKE) -s VENV_IS_MINE=1 $@
else
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
endif

bench: $(VENV)/ready  ## the suite's main job
	@$(BIN)/latent-ot bench --dataset '$(DATASET)' --budget '$(BUDGET)' --seeds '$(SEEDS)' $(if $(METHODS),--methods '$(METHODS)') $(if $(SUBSET),--subset $(SUBSET)) $(if $(GPUS),--gpus $(GPUS)) $(if $(THREADS),--threads $(THREADS)) $(if $(EVALUATOR),--evaluator '$(EVALUATOR)') $(if $(DATA_DIR),--data-dir '$(DATA_DIR)')

table: $(VENV)/ready  ## a published table beside ours
	@$(BIN)/latent-ot table '$(TABLE)' $(if $(filter-out file,$(origin DATASET)),--dataset '$(DATASET)') $(if $(filter-out file,$(origin BUDGET)),--budget '$(BUDGET)') $(if $(RUN),--run --seeds '$(SEEDS)' $(if $(SUBSET),--subset $(SUBSET)) $(if $(GPUS),--gpus $(GPUS)) $(if $(EVALUATOR),--evaluator '$(EVALUATOR)') $(if $(DATA_DIR),--data-dir '$(DATA_DIR)') $(if $(AGAINST),--against '$(AGAINST)') $(if $(STORE),--store '$(STORE)'))

claims: $(VENV)/ready  ## claims checked against the records
	@$(BIN)/latent-ot claims

leaderboard: $(VENV)/ready  ## pages and figures from results/
	@$(BIN)/latent-ot leaderboard

speed: $(VENV)/ready  ## ratios of one run each, written beside their scripts; half an hour on two quiet cores
	@set -e; for script in $(SPEED); do echo "== $$script"; OMP_NUM_THREADS=1 $(BIN)/python benchmarks/speed/$$script.py; done

test: $(VENV)/ready  ## the test suite; one thread a process, since two share the cores, and what a file sets up is set up once
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal --durations=30 --durations-min=5 $(if $(SLOW),,-m 'not slow')

lint: $(VENV)/ready  ## style, types, and which file may import which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

clean:  ## not runs/: trained work is never thrown away by a habit
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
