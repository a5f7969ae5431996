# Tessera's commands. Each one says in plain words what it does, is safe to
# repeat, and leaves its logs in build/logs.
#
# The work is in utils/: this file only names it.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup build demo test conformance benchmark wheel format lint tidy docs asan tsan clean
# One build at a time: the compiler's files take 2 GB each to compile.
.NOTPARALLEL:

PRESET ?= dev
export PRESET

PYTHON ?= python3
export PYTHON
export TORCH_INDEX_URL

help:
	@echo "Tessera: a compiler with a PyTorch front door"
	@echo
	@echo "  make demo     install what is missing, build, run examples/mini_transformer.py"
	@echo "  make test     the same, then every test"
	@echo
	@echo "  make conformance   PyTorch's lists of operators and modules in every dtype (an hour on"
	@echo "                two cores), and at many sizes; writes docs/reference/conformance.md"
	@echo "                and dynamic-shapes.md"
	@echo "  make benchmark     models and kernels beside other compilers, with one thread and two (an"
	@echo "                hour and a half); writes docs/results.md and README's tables"
	@echo "  make build    install what is missing and build into build/dev"
	@echo "  make wheel    a self-contained wheel in dist/ (LLVM linked in)"
	@echo "  make format   rewrite C++ and Python files in the project's formatting"
	@echo "  make lint     formatting, ruff, mypy, the dependency rules"
	@echo "  make tidy     clang-tidy over the files changed since main (ALL=1: every file)"
	@echo "  make docs     write the generated pages (op map, passes) anew"
	@echo "  make asan     unit, lit and extension tests under AddressSanitizer and UBSan"
	@echo "  make tsan     the runtime's unit tests under ThreadSanitizer"
	@echo "  make clean    remove build/ and dist/ (.venv stays)"
	@echo
	@echo "  TORCH_INDEX_URL=<url>  an index that has the torch build you want"
	@echo "  PYTHON=python3.12      the Python that .venv is made with"

setup:
	@utils/setup build

build: setup
	@utils/step --show "building (the first build takes some minutes)" build utils/build

demo: build
	@echo "==> running examples/mini_transformer.py"
	@.venv/bin/python examples/mini_transformer.py

test:
	@utils/setup test
	@utils/step --show "building (the first build takes some minutes)" build utils/build
	@.venv/bin/python utils/run_tests.py --preset $(PRESET)

conformance:
	@utils/setup test
	@utils/step --show "building (the first build takes some minutes)" build utils/build
	@.venv/bin/python tests/conformance/core_aten_ops.py --check
	@.venv/bin/python utils/conformance.py
	@.venv/bin/python utils/dynamic_shapes.py

benchmark: build
	@utils/step "installing the compilers to compare with" peers .venv/bin/pip install \
	  -r requirements-bench.txt
	@# Apart from the rest, since importing it changes torch.compile for everybody.
	@utils/step "installing zentorch" zentorch .venv/bin/pip install --no-deps --upgrade \
	  --target build/zentorch zentorch==2.13.0.2 deprecated wrapt
	@PYTHONPATH=python .venv/bin/python -m benchmarks.suite

wheel: setup
	@utils/wheel --check

format:
	@utils/setup lint
	@utils/lint --fix clang-format ruff

lint:
	@utils/setup lint
	@utils/lint

tidy:
	@utils/setup lint
	@utils/step --show "building, since clang-tidy reads generated headers" build utils/build
	@utils/lint tidy

docs: build
	@.venv/bin/python utils/generate_docs.py

asan:
	@utils/setup lint
	@utils/step --show "building with sanitizers" build-asan env PRESET=asan utils/build
	@# LLVM's headers poison the memory of its allocators; the library beside them, built without
	@# the sanitizer, does not lift that again.
	@ASAN_OPTIONS=allow_user_poisoning=0 \
	  .venv/bin/python utils/run_tests.py --preset asan unit lit pytest

tsan:
	@utils/setup lint
	@utils/step --show "building the runtime with ThreadSanitizer" build-tsan \
	  env PRESET=tsan utils/build
	@.venv/bin/python utils/run_tests.py --preset tsan unit

clean:
	@rm -rf build dist
	@echo "==> removed build/ and dist/; .venv stays (rm -rf .venv for that)"
