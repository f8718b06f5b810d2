PYTHON ?= python3
export PYTHON
# On a machine without a GPU, the package index of PyTorch's CPU builds spares gigabytes of CUDA libraries.
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin

.PHONY: report test clean

report: $(VENV)/.installed  ## build the sample study
	$(BIN)/reportgen build sample_data -o out/sample

# two files of tests at once and no more: each process loads torch, which is large
test: $(VENV)/.installed-test  ## install what the tests need, and run them all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile

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
