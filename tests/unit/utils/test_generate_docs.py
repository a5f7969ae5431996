# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""utils/generate_docs.py: every generated page is written and checked, the op map among them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

UTILS = Path(__file__).parents[3] / "utils"


@pytest.fixture
def generate_docs(monkeypatch, tmp_path):
    """The script, with its pages in a folder of the test."""
    monkeypatch.syspath_prepend(str(UTILS))
    import gen_op_map
    import generate_docs

    monkeypatch.setattr(generate_docs, "ROOT", tmp_path)
    monkeypatch.setattr(generate_docs, "REFERENCE", tmp_path / "reference")
    monkeypatch.setattr(gen_op_map, "PAGE", tmp_path / "op-map.md")
    return generate_docs


def run(script, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["generate_docs.py", *arguments])
    return script.main()


def test_the_op_map_is_written_and_checked(generate_docs, monkeypatch, tmp_path, capsys):
    assert run(generate_docs, monkeypatch) == 0
    page = tmp_path / "op-map.md"
    assert "| `matmul` |" in page.read_text(encoding="utf-8")
    assert run(generate_docs, monkeypatch, "--check") == 0
    page.write_text(page.read_text(encoding="utf-8").replace("`matmul`", "`forgotten`"))
    capsys.readouterr()
    assert run(generate_docs, monkeypatch, "--check") == 1
    assert "op-map.md is stale: make docs writes it anew" in capsys.readouterr().out
