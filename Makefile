# Two commands do everything on a fresh machine with Python >= 3.11: `make sweep` and `make test`.
SCALE ?= tiny
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/engram-sweep

.PHONY: sweep plan rehearse status cancel rerun-failed report tune power doctor strata suppress gates hot-rows depth cka inside planted publish-inside publish keys notebooks lab test test-gpu lint bench coverage chaos clean

# Further options of a command, e.g. make plan ARGS='--set training.tokens=1e9 --gpu h200'; values without blanks.
ARGS ?=
# Of these, the changes to the scale: the report of a sweep takes them too.
SET = $(filter --set=%,$(subst --set ,--set=,$(ARGS)))

# Trains what is not done, then draws what is done, also when a run failed. EXECUTOR=slurm submits to SLURM;
# DRY_RUN=1 writes what would be submitted, and there is nothing to draw then.
sweep: $(BIN)/.ready
	@$(RUN) sweep $(SCALE) $(ARGS); code=$$?; case $$code$(filter-out 0,$(DRY_RUN)) in 0|1) $(RUN) report $(SCALE) $(SET) || code=$$?;; esac; exit $$code

plan rehearse status cancel rerun-failed report tune power doctor: $(BIN)/.ready
	@$(RUN) $@ $(SCALE) $(ARGS)

# Measures inside the finished runs of SCALE, and what they show; docs/inside-the-memory.md says what each is.
strata suppress gates hot-rows depth cka: $(BIN)/.ready
	@$(RUN) $@ $(SCALE) $(ARGS)
	@$(RUN) inside $(SCALE) $(SET) --only $@

inside: $(BIN)/.ready
	@$(RUN) $@ $(SCALE) $(ARGS)

# The controls of these measures: text with a known truth, trained and measured in under an hour.
planted: $(BIN)/.ready
	@for scale in planted-look-up planted-half planted-computed; do $(RUN) sweep $$scale && $(RUN) strata $$scale && $(RUN) inside $$scale && cp results/$$scale/inside/strata.parquet results/published/$$scale-strata.parquet || exit; done

# Figures and tables of all measures that we stand behind.
publish-inside: strata suppress gates hot-rows depth cka
	@for file in results/$(SCALE)/inside/*_table.parquet results/$(SCALE)/inside/*.png; do cp $$file results/published/$(SCALE)-$$(basename $$file); done

# The table and the picture that we stand behind, of the full sweep; the README shows those of tiny.
publish: $(BIN)/.ready
	@$(RUN) sweep $(SCALE) --full
	@$(RUN) report $(SCALE)
	@$(RUN) export $(SCALE) results/published/$(SCALE).parquet
	@cp results/$(SCALE)/loss_vs_rho.png results/published/$(SCALE).png

# The key reference and the JSON schema for editors, from the classes that check a scale.
keys: $(BIN)/.ready
	@$(RUN) keys --markdown > docs/keys.md
	@$(RUN) keys --schema > sweeps/schema.json

# Executes the notebooks on the results of SCALE, the one about several sweeps on those of SCALES, and writes them back.
SCALES ?= $(SCALE)
notebooks: $(BIN)/.ready
	$(BIN)/jupytext --quiet --to ipynb notebooks/*.py
	SCALE=$(SCALE) SCALES='$(SCALES)' $(BIN)/jupyter-execute --inplace notebooks/*.ipynb

# Opens JupyterLab on the notebooks, with the sweep of SCALE; installed by this target only.
lab: $(BIN)/.ready
	$(BIN)/pip install --quiet -c constraints.txt jupyterlab==4.6.6
	SCALE=$(SCALE) SCALES='$(SCALES)' $(BIN)/jupyter-lab notebooks

test: $(BIN)/.ready
	$(BIN)/pytest -n auto --dist loadgroup

# On a machine with CUDA devices; fails where there are none. docs/lab-notebook.md says when it last ran.
test-gpu: $(BIN)/.ready
	$(BIN)/pytest -m gpu tests/gpu

lint: $(BIN)/.ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

# How often the intervals cover a known truth: about three hours of one core; its tables stand in docs/lab-notebook.md.
coverage: $(BIN)/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -W error -m analysis.simulation.coverage --sweeps 600

# N faults at random moments of a small sweep; its table must come out bit-equal. Needs the right to mount.
N ?= 200
chaos: $(BIN)/.ready
	$(BIN)/python -m tests.chaos --faults $(N)

# Against a peer, installed beside; never part of the tests.
bench: $(BIN)/.ready
	$(BIN)/pip install --quiet -c constraints.txt -r benchmarks/requirements.txt
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.train_step --keep
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/commands.py
	$(BIN)/python -m benchmarks.data_prepare
	$(BIN)/python -m benchmarks.many_runs
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.checks
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.offload
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.sharded_step

# torch first: by itself, from the pins, it is the CPU build where there is one.
$(BIN)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("engram_sweep needs Python >= 3.11, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo 'installing pinned versions into .venv: one to three minutes, once'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade -c constraints.txt pip
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt --group dev -e .
	touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis
