# book     execute every chapter here, build the book, say where to open it
# html     build the book from the committed outputs, executing nothing
# lab      open the chapters in JupyterLab, with the kernel of .venv
# test     everything that must hold; what this machine lacks for it is told at the end
# notebooks  execute every chapter in place, to commit its outputs
# links    ask other hosts whether the book's links to them still lead somewhere
# colab    run every chapter as Colab would, ganlib being installed by its set-up cell
# repo     say where the book lives: make repo URL=https://github.com/owner/name
# record   train what ships with the book (hours on a CPU)    bench  time the training step    lint  ruff

# Any of Python 3.11 to 3.13: make book PYTHON=python3.12
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# A kernelspec "python3" in the reader's home must not win over the one in .venv.
export JUPYTER_PREFER_ENV_PATH := 1
# Chapters run in several folders; all of them find a data set that lies in ./data.
ifneq ($(wildcard data),)
export GANLIB_DATA ?= $(CURDIR)/data
endif
# Warnings are errors, and all of them are shown. --all: Sphinx overlooks a changed style sheet.
BUILD := $(BIN)/jupyter-book build -q -W --keep-going --all

# Where nobody watches, no bars; make before 4.1 never knows.
QUIET := $(if $(MAKE_TERMOUT),,-q)
# What JupyterLab opens.
LAB ?= book/01_dataset.ipynb

.PHONY: book html lab test notebooks links colab repo record bench lint
.DEFAULT_GOAL := book

# The stamp is newer than both files while .venv holds what they ask for.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = "%d.%d" % sys.version_info[:2]; v in ("3.11", "3.12", "3.13") or \
	  sys.exit(f"This is Python {v}; the book needs 3.11, 3.12 or 3.13: make PYTHON=python3.12 ...")'
	@echo 'Installing PyTorch and what else the book needs into .venv: some minutes'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install $(QUIET) --disable-pip-version-check -r requirements.txt -e .
	@touch $@

# The copy under _build keeps `git status` clean.
book: $(READY)
	$(BIN)/python tools/execute.py
	$(BUILD) _build/executed --path-output .
	@echo 'The book is ready: open _build/html/index.html'

html: $(READY)
	$(BUILD) .
	@echo 'The book is ready: open _build/html/index.html'

# No test may download anything, so a browser and MNIST come first, if they can be had. nbval
# executes the committed notebooks and compares the cells tagged nbval-check-output.
test: lint
	$(BIN)/python tools/browser.py
	$(BIN)/python tools/execute.py --check-data
	$(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=600 tests book

# JupyterLab refuses to serve root, a container's usual user, without being told so.
lab: $(READY)
	$(BIN)/jupyter-lab --allow-root --KernelManager.transport_encryption=auto $(LAB)

notebooks: $(READY)
	$(BIN)/python tools/execute.py --in-place

# Sphinx writes what it finds to _build/linkcheck/output.txt.
links: $(READY)
	$(BUILD) --builder linkcheck .

colab: $(READY)
	$(BIN)/python tools/colab.py

repo: $(READY)
	$(BIN)/python tools/repo.py '$(URL)'

record: $(READY)
	$(BIN)/python -m ganlib record
	$(BIN)/python -m ganlib experiment paper
	$(BIN)/python -m ganlib experiment length --seeds 4
	$(BIN)/python -m ganlib experiment improvements --seeds 4
	$(BIN)/python -m ganlib experiment codes --seeds 5
	$(BIN)/python -m ganlib experiment few-labels --seeds 5
	$(BIN)/python -m ganlib experiment rounding
	$(BIN)/python -m ganlib experiment ones
	$(BIN)/python -c 'from ganlib.studies import collapse; collapse.record()'

bench: $(READY)
	$(BIN)/python bench/training_step.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
