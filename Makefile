# Needs Python 3.11 or newer and make; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/demo
PIP := -m pip install --disable-pip-version-check -c constraints.txt
INSTALL := $(BIN)/python $(PIP)
BENCH := .venv-bench
ARGS :=

.PHONY: demo test acceptance bench gallery clean

# Train on the handwritten digits that come with scikit-learn, then say what the model is worth.
demo: $(VENV)/demo.stamp
	$(BIN)/lowerbound fit digits --recipe sigma-vae --latent 10 --out $(RUN) --force
	$(BIN)/lowerbound evaluate $(RUN)

test: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not acceptance"

# The figures that the recipes must reproduce; each measured value is a dated row of docs/results.md.
acceptance: $(VENV)/dev.stamp
	LOWERBOUND_RESULTS=$(CURDIR)/docs/results.md $(BIN)/python -m pytest -m acceptance --timeout 3600

# The pictures that VAEs are known by, on real data (LOWERBOUND_DATA), into runs/gallery; trained runs are used again.
gallery: $(VENV)/demo.stamp
	$(BIN)/python scripts/gallery.py $(ARGS)

# Speed against loops by hand and against whatever of bench/peers.txt could be installed, appended to bench/LOG.md:
# a quarter of an hour on a machine that does nothing else. Options of bench/run.py: make bench ARGS='--rounds 3'.
bench: $(BENCH)/bench.stamp
	$(BENCH)/bin/python bench/run.py $(ARGS)

$(VENV)/demo.stamp: EXTRAS := images,plot
$(VENV)/dev.stamp: EXTRAS := dev
$(VENV)/%.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("lowerbound needs Python 3.11 or newer; try: make PYTHON=python3.13" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -e '.[$(EXTRAS)]'
	touch $@

$(BENCH)/bench.stamp: pyproject.toml constraints.txt bench/peers.txt
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python $(PIP) -e '.[images]'
	-$(BENCH)/bin/python $(PIP) -r bench/peers.txt
	-$(BENCH)/bin/python $(PIP) --no-deps pythae==0.1.2
	touch $@

clean:
	rm -rf $(VENV) $(BENCH) $(RUN) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
