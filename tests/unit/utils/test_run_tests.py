# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""utils/run_tests.py: how Python tests run on a build with AddressSanitizer."""

from __future__ import annotations

from pathlib import Path

import pytest

UTILS = Path(__file__).parents[3] / "utils"


@pytest.fixture
def run_tests(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(UTILS))
    import run_tests

    monkeypatch.setattr(run_tests, "LOGS", tmp_path)
    return run_tests


@pytest.fixture
def tree(run_tests, monkeypatch, tmp_path):
    """A build with a compiler that knows where its libraries are."""
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    sources = tmp_path / "python" / "tessera"
    (sources / "ops").mkdir(parents=True)
    (sources / "__init__.py").write_text("")
    (sources / "_core.cpython-311-x86_64-linux-gnu.so").write_text("not this one")
    compiler = tmp_path / "clang++"
    compiler.write_text('#!/bin/sh\necho "/libraries/${1#-print-file-name=}"\n')
    compiler.chmod(0o755)
    tree = tmp_path / "build" / "asan"
    (tree / "python" / "tessera").mkdir(parents=True)
    (tree / "CMakeCache.txt").write_text(
        f"TESSERA_SANITIZE:STRING=address,undefined\nCMAKE_CXX_COMPILER:FILEPATH={compiler}\n"
    )
    return tree


def test_the_package_is_linked_around_the_extension(run_tests, tree):
    for _ in range(2):
        environment = run_tests.sanitized_environment(tree)
    package = tree / "python" / "tessera"
    assert {path.name for path in package.iterdir()} == {"__init__.py", "ops"}
    assert environment["PYTHONPATH"] == str(package.parent)
    assert environment["LD_PRELOAD"].split()[0] == "/libraries/libclang_rt.asan-x86_64.so"
    assert "detect_leaks=0" in environment["ASAN_OPTIONS"]


def test_a_build_without_the_extension_is_a_failure(run_tests, tree):
    outcome = run_tests.pytest(tree)
    assert outcome.failed == 1
    assert "no extension in build/asan/python/tessera" in outcome.failures[0]


def test_what_runs_sanitized_exists(run_tests):
    for path in run_tests.SANITIZED_TESTS:
        assert (UTILS.parent / path).is_file(), path


def test_variables_of_cmakes_cache(run_tests, tree):
    assert run_tests.cached(tree, "TESSERA_SANITIZE") == "address,undefined"
    assert run_tests.cached(tree, "SANITIZE") == ""
    assert run_tests.cached(tree / "nowhere", "TESSERA_SANITIZE") == ""
