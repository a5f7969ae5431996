# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The snippets of the reference pages written by hand run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import torch

import tessera as ts

ROOT = Path(__file__).resolve().parents[2]


def test_ways_in(monkeypatch):
    text = (ROOT / "docs/reference/ways-in.md").read_text(encoding="utf-8")
    torch._dynamo.reset()
    before = {graph.number for graph in ts.compat.compiled_graphs()}
    original = ts.compat.compiled_graphs
    # As in a process of its own.
    monkeypatch.setattr(
        ts.compat, "compiled_graphs", lambda: [g for g in original() if g.number not in before]
    )
    scope: dict = {"__name__": "snippets"}
    for snippet in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(snippet, "ways-in.md", "exec"), scope)
    ts.compat.unregister(scope["lower"])
    scope["swiglu"].unregister()
    for public in re.findall(r"`ts\.(\w+(?:\.\w+)*)", text):
        value = ts
        for part in public.split("."):
            value = getattr(value, part)
