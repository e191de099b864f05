# One command for each thing people do here. Every target sets up .venv the first time and is quick afterwards.
#
#   make demo PROMPT="a large red circle left of a small blue star on white" [MODEL=emoji]
#   make test [ARGS="-k seeding"]    make lint    make format    make bench    make lab    make studio

PYTHON ?= python3
MODEL  ?= shapes
PROMPT ?= $(PROMPT_$(firstword $(subst -, ,$(MODEL))))
OUT    ?= out
ARGS   ?=

# What is drawn unless PROMPT says otherwise.
PROMPT_shapes := a large red circle left of a small blue star on a white background
PROMPT_emoji  := smiling cat with heart-eyes

BIN := .venv/bin

# What a target needs installed; extras are those of pyproject.toml.
EXTRAS_demo :=
EXTRAS_bench := [all]
EXTRAS_test := [all]
EXTRAS_lab  := [notebook,app,metrics,text]
EXTRAS_studio := [app,metrics,text]

.PHONY: demo test lint format bench lab studio clean

demo: .venv/.ready-demo
	$(BIN)/ldm-lab generate "$(PROMPT)" --model "$(MODEL)" --output "$(OUT)"

test: .venv/.ready-test
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/.ready-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/.ready-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.ready-bench
	$(BIN)/ldm-lab bench $(ARGS)

lab: .venv/.ready-lab
	$(BIN)/jupyter lab notebooks/00_tour.ipynb

studio: .venv/.ready-studio
	$(BIN)/ldm-lab studio $(ARGS)

clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis build dist

.venv/.ready-%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".$(EXTRAS_$*)"
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv .venv
