# `make demo` trains and reports, `make test` checks, `make data` fetches images. Each sets up .venv first.
PYTHON ?= python3
BIN = .venv/bin
READY = .venv/ready

.PHONY: demo test data lint setup

demo: $(READY)
	$(BIN)/python main.py --config=experiments/digits_loss.py --workdir=runs/digits_loss

# A process for each core, up to four: every one makes the workdirs that its tests share.
test: $(READY)
	JAX_PLATFORMS=cpu $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadscope

# Images of MNIST, Fashion-MNIST, KMNIST and CIFAR-10, for a machine that will have no network.
data: $(READY)
	$(BIN)/python -m g_pt.fetch

setup: $(READY)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

$(READY): requirements.txt setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -e .[dev]
	touch $(READY)
