# Every target works on a fresh machine with Python 3.11: the environment is built when it is missing or outdated.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
PARALLEL := -n logical --dist worksteal  # a process a core, each test on one thread

.PHONY: help venv demo test test-slow test-regimes test-scatter test-gpu lint types pages docs bench compile clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

venv: $(READY)  ## build .venv with the pinned dependencies

# torch goes first and by itself: its CPU build must be there before anything else asks for torch. RecBole goes without
# its dependencies: its pin of ray cannot be resolved on today's Pythons, and nothing of ours imports what needs it.
$(READY): constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,recsys,site]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt recbole
	touch $@

demo: $(READY)  ## compress a graph neural network and a recommender on real data, in minutes
	$(BIN)/python -m benchmarks.gnn --dataset digits --teacher sage --student mlp --methods none,kd,glnn --seeds 3
	$(BIN)/python -m benchmarks.compress --dataset digits --teacher sage --latency-ms 0.2 --trials 24
	$(BIN)/python -m benchmarks.recsys --dataset ml-100k --teacher mf:64 --student mf:8 --methods none,cd --seeds 1

# The second lane runs the Triton kernels on numpy; pytest's 5, no tests, is what it says where Triton is not to be had.
test: $(READY)  ## the tests, fast lane
	$(BIN)/python -m pytest $(PARALLEL)
	TRITON_INTERPRET=1 $(BIN)/python -m pytest $(PARALLEL) tests/kernels/cuda || test $$? -eq 5

test-slow: $(READY)  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow --ignore tests/methods --ignore tests/schemes/regimes
	$(BIN)/python -m pytest $(PARALLEL) -m slow tests/methods tests/schemes/regimes

test-regimes: $(READY)  ## every scheme where its paper has it, and without its mechanism; OFFSET=7 for other seeds
	$(BIN)/python -m pytest $(PARALLEL) -m slow tests/schemes/regimes --seed-offset $(or $(OFFSET),0)

test-gpu: $(READY)  ## the tests that need an NVIDIA GPU
	$(BIN)/python -c "import sys, torch; sys.exit(0 if torch.cuda.is_available() else 'torch finds no NVIDIA GPU')"
	$(BIN)/python -m pytest -m cuda
	$(BIN)/python -m pytest tests/kernels/cuda

# torch-scatter is compiled from source, minutes on two cores; PyG uses it when it can be imported. Its lane is the tests
# whose values go through PyG's reductions; files, errors and pages are the same without it.
SCATTER := tests/kernels tests/losses tests/gnn tests/tasks tests/loaders tests/schemes tests/test_parity.py \
	tests/benchmarks/test_kernels.py tests/recsys/test_bridge.py
.scatter/.ready: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --upgrade \
		--target .scatter -c constraints.txt torch-scatter
	touch $@

test-scatter: .scatter/.ready  ## the tests of values, with torch-scatter present
	PYTHONPATH=.scatter $(BIN)/python -c "import torch_scatter"
	PYTHONPATH=.scatter $(BIN)/python -m pytest $(PARALLEL) $(SCATTER)

lint: $(READY)  ## ruff and codespell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: $(READY)  ## mypy
	$(BIN)/mypy

pages: $(READY)  ## docs/methods.md, docs/schemes.md and docs/survey.md, from the methods' metadata
	$(BIN)/python -m docs.pages

docs: $(READY)  ## the site, into build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

bench: $(READY)  ## the measured tables of the README, into results/
	mkdir -p results
	$(BIN)/python -m benchmarks.kernels --out results/kernels.jsonl
	$(BIN)/python -m benchmarks.gnn --dataset cora --split cpf --teacher sage --student mlp --methods none,glnn --seeds 10 --out results/gnn.jsonl

compile: $(READY)  ## the Triton kernels for sm_90, without a GPU: registers and spills
	$(BIN)/python -m benchmarks.compile_kernels

clean:  ## remove what was built
	rm -rf .venv .scatter build *.egg-info results
