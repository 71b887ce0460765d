# Two commands do everything on a fresh machine with Python 3.11 or newer: make demo, make test.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
DEMO := out/demo

.PHONY: demo test test-all check docs clean

# The environment is rebuilt when what it installs changes: first what planning needs, then what the tests need too.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --prefer-binary -c constraints.txt

.venv/core: pyproject.toml constraints.txt
	@echo "Making .venv with what planning needs: some 50 packages, 150 MB to fetch, 0.7 GB on disk, one to two minutes."
	$(PYTHON) -m venv .venv
	@$(PIP) --quiet -e . & pid=$$!; while kill -0 $$pid 2>/dev/null; do sleep 5; printf .; done; echo; wait $$pid
	touch $@

.venv/ready: .venv/core
	@echo "Adding every extra and the tools of the tests: some 150 packages, 2.1 GB on disk, about three minutes."
	@$(PIP) --quiet -e '.[dev]' & pid=$$!; while kill -0 $$pid 2>/dev/null; do sleep 5; printf .; done; echo; wait $$pid
	touch $@

demo: .venv/core
	@mkdir -p $(DEMO); date +%s > $(DEMO)/began
	@echo "Eight commands, about 20 seconds in all. Five cameras of a warehouse, each for itself, and together:"
	$(BIN)/dmcjia solve examples/warehouse.toml --placer neurosurgeon+ --out $(DEMO)/selfish.json
	$(BIN)/dmcjia solve examples/warehouse.toml --out $(DEMO)/together.json
	@echo; echo "Ten edge nodes drawn from Table 5 of the paper, with the layers of ResNet34:"
	$(BIN)/dmcjia generate paper --nodes 10 --seed 1 --out $(DEMO)/paper10.toml
	@echo; echo "The paper's algorithm: binary genetic algorithm outside, augmented Lagrangian inside:"
	$(BIN)/dmcjia solve $(DEMO)/paper10.toml --placer dmcjia --allocator alm --seed 1 --out $(DEMO)/dmcjia.json
	@echo; echo "A modern integer genetic algorithm with the closed-form allocator:"
	$(BIN)/dmcjia solve $(DEMO)/paper10.toml --placer genetic --seed 1 --out $(DEMO)/genetic.json
	@echo; echo "The optimum, with its proof:"
	$(BIN)/dmcjia solve $(DEMO)/paper10.toml --out $(DEMO)/exact.json
	@echo; echo "Anyone can check a plan, whoever made it:"
	$(BIN)/dmcjia verify $(DEMO)/paper10.toml $(DEMO)/dmcjia.json
	@echo; echo "A site: three cameras behind one access point, an edge server, and a cloud over a line that all share:"
	$(BIN)/dmcjia solve examples/site.toml --out $(DEMO)/site.json
	@echo; echo "Done in $$(( $$(date +%s) - $$(cat $(DEMO)/began) )) s. The plans are in $(DEMO); your own fleet: docs/ten-minutes.md"

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Two workers on two cores: libraries of linear algebra have one thread each. What tests start finds compiled modules.
test test-all: export OMP_NUM_THREADS = 1
test test-all: export OPENBLAS_NUM_THREADS = 1
test test-all: export PYTHONDONTWRITEBYTECODE =

test: check
	$(BIN)/pytest -n 2 --dist worksteal

test-all: check
	$(BIN)/pytest -n 2 --dist worksteal -m "slow or not slow"

docs: .venv/ready
	$(BIN)/sphinx-build -W -n -b html docs out/docs
	@echo "The first page: out/docs/index.html"

clean:
	rm -rf .venv out
