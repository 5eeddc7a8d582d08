# Two commands do everything on a fresh machine with Python >= 3.11: `make sweep` and `make test`.
SCALE ?= tiny
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/engram-sweep

.PHONY: sweep plan rehearse status cancel rerun-failed report register logs tune publish-tune power doctor ablate publish-ablate strata suppress gates hot-rows depth cka retrieval eval inside planted publish-inside publish publish-notebooks keys docs check-readme notebooks lab test test-gpu lint bench coverage chaos clean

# Further options of a command, e.g. make plan ARGS='--set training.tokens=1e9 --gpu h200'; values without blanks.
ARGS ?=
# Of these, the changes to the scale: the report of a sweep takes them too.
SET = $(filter --set=%,$(subst --set ,--set=,$(ARGS)))

# Trains what is not done, then draws what is done, also when a run failed. EXECUTOR=slurm submits to SLURM;
# DRY_RUN=1 writes what would be submitted, and there is nothing to draw then.
sweep: $(BIN)/.ready
	@$(RUN) sweep $(SCALE) $(ARGS); code=$$?; case $$code$(filter-out 0,$(DRY_RUN)) in 0|1) $(RUN) report $(SCALE) $(SET) || code=$$?;; esac; exit $$code

plan rehearse status cancel rerun-failed report register logs power doctor: $(BIN)/.ready
	@$(RUN) $@ $(SCALE) $(ARGS)

# Trains further learning rates at some rho, then says which is best at each and what the sweep's one rate costs.
tune: $(BIN)/.ready
	@$(RUN) $@ $(SCALE) $(ARGS)
	@$(RUN) rates $(SCALE) $(SET)

# The table of these runs that we stand behind.
publish-tune: tune
	@$(RUN) export $(SCALE).tune results/published/$(SCALE)-tune.parquet

# Measures inside the finished runs of SCALE, and what they show; docs/inside-the-memory.md says what each is.
strata suppress gates hot-rows depth cka retrieval eval: $(BIN)/.ready
	@$(RUN) $@ $(SCALE) $(ARGS)
	@$(RUN) inside $(SCALE) $(SET) --only $@

inside: $(BIN)/.ready
	@$(RUN) $@ $(SCALE) $(ARGS)

# Trains the variants of SCALE (sweep.variants) that are not done, and compares them with the whole module.
ablate: $(BIN)/.ready
	@$(RUN) sweep $(SCALE) $(ARGS); code=$$?; case $$code$(filter-out 0,$(DRY_RUN)) in 0|1) $(RUN) ablate $(SCALE) $(SET) || code=$$?;; esac; exit $$code

# The table of an ablation and its figure that we stand behind.
publish-ablate: ablate
	@$(RUN) export $(SCALE) results/published/$(SCALE).parquet
	@cp results/$(SCALE)/inside/ablate.png results/published/$(SCALE)-ablate.png

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
	@$(MAKE) publish-notebooks

# The references and the JSON schema for editors, from the code that they describe.
keys: $(BIN)/.ready
	@$(RUN) keys --markdown > docs/keys.md
	@$(RUN) keys --schema > sweeps/schema.json
	@$(BIN)/python -m tests.docs.reference

# The pages of docs/ as a site in site/; a link or an anchor that leads nowhere is an error.
docs: $(BIN)/.ready
	$(BIN)/pip install --quiet -c constraints.txt --group docs
	$(BIN)/zensical build --strict

# Recomputes the figures of README and docs from the published tables; ARGS=--write puts them in.
check-readme: $(BIN)/.ready
	$(BIN)/python -m tests.docs.figures $(ARGS)

# Executes copies of the notebooks in results/notebooks on the results of SCALE, the one about several sweeps on those
# of SCALES, and compares SCALE with OTHER if that is named. Each may be a table instead: SCALE=my_runs.csv.
SCALES ?= $(SCALE)
OTHER ?=
EXECUTED := results/notebooks
OWN := results/lab
copy_notebooks = mkdir -p $(1) && for one in notebooks/*.py; do \
	$(BIN)/jupytext --quiet --update --to ipynb --output $(1)/$$(basename $$one .py).ipynb $$one || exit 1; done
# Files of tables are named from here, and notebooks run elsewhere.
from_here = $(foreach one,$(1),$(if $(filter %.parquet %.csv,$(one)),$(abspath $(one)),$(one)))
read_by_notebooks = RESULTS='$(CURDIR)/results' SCALE='$(call from_here,$(SCALE))' \
	SCALES='$(call from_here,$(SCALES))' OTHER='$(call from_here,$(OTHER))'
notebooks: $(BIN)/.ready
	@$(call copy_notebooks,$(EXECUTED))
	$(read_by_notebooks) $(BIN)/jupyter-execute --inplace $(EXECUTED)/*.ipynb

# Opens JupyterLab on copies in results/lab, which are yours: made once, never overwritten. It is installed by this
# target only.
lab: $(BIN)/.ready
	$(BIN)/pip install --quiet -c constraints.txt jupyterlab==4.6.6
	@test -d $(OWN) || { $(call copy_notebooks,$(OWN)); }
	$(read_by_notebooks) $(BIN)/jupyter-lab $(OWN)

# The notebooks in this repository with outputs of the published tables: written only if all of them run. Cells keep
# their ids and lose their times, so that a diff shows what changed.
publish-notebooks: $(BIN)/.ready
	@mkdir -p $(EXECUTED) && cp notebooks/*.ipynb $(EXECUTED)/
	@$(call copy_notebooks,$(EXECUTED))
	@SCALE=../published/tiny.parquet SCALES=../published/tiny-axes.parquet OTHER=../published/tiny-adamw.parquet \
		$(BIN)/jupyter-execute --inplace $(EXECUTED)/*.ipynb
	@sed -i '/"execution": {/,/}/d' $(EXECUTED)/*.ipynb
	@cp $(EXECUTED)/*.ipynb notebooks/

test: $(BIN)/.ready
	$(BIN)/pytest -n auto --dist loadgroup

# On a machine with CUDA devices; fails where there are none. docs/lab-notebook.md says when it last ran.
test-gpu: $(BIN)/.ready
	$(BIN)/pytest -m gpu tests/gpu

lint: $(BIN)/.ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

# How often the intervals cover a known truth: some three hours of one core; tables stand in docs/lab-notebook.md.
coverage: $(BIN)/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -W error -m analysis.simulation.coverage --sweeps 600
	OMP_NUM_THREADS=1 $(BIN)/python -W error -m analysis.simulation.adaptive --sweeps 60 --write
	OMP_NUM_THREADS=1 $(BIN)/python -W error -m analysis.simulation.variants --sweeps 3000

# N faults at random moments of a small sweep; its table must come out bit-equal. Needs the right to mount.
N ?= 200
chaos: $(BIN)/.ready
	$(BIN)/python -m tests.chaos --faults $(N)

# Against a peer, installed beside; never part of the tests. ARGS=--gpu times steps on a CUDA device, and nothing else.
KEPT := train_step step_parts along_rho tables sweep_overhead
PRINTED := checks analysis_time offload sharded_step
bench: $(BIN)/.ready
	$(BIN)/pip install --quiet -c constraints.txt -r benchmarks/requirements.txt
ifneq (,$(filter --gpu,$(ARGS)))
	$(BIN)/python -m benchmarks.train_step --keep $(ARGS)
else
	for name in $(KEPT); do OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.$$name --keep || exit; done
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/commands.py
	$(BIN)/python -m benchmarks.data_prepare
	$(BIN)/python -m benchmarks.many_runs
	for name in $(PRINTED); do OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.$$name || exit; done
endif

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
