#!/usr/bin/env python3
# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Writes core_aten_ops.txt: the operators of op_db that are Core ATen, by PyTorch's word alone.

    tests/conformance/core_aten_ops.py           write the list
    tests/conformance/core_aten_ops.py --check   fail when it is stale

An operator is in it when its first float32 sample exports, and PyTorch's default decompositions
turn it into nothing but operators that carry the tag `core`. Tessera is not imported, so that
the list cannot follow what Tessera can do.
"""

from __future__ import annotations

import argparse
import logging
import operator
import sys
import warnings
from pathlib import Path

import torch
from op_samples import Sample, first, operator_names, operator_samples

LIST = Path(__file__).with_name("core_aten_ops.txt")


def is_core(sample: Sample) -> bool:
    """Whether the sample's decomposed graph calls Core ATen only."""
    with torch.no_grad():
        program = torch.export.export(sample.module, sample.args, sample.kwargs, strict=False)
        program = program.run_decompositions()
    for node in program.graph.nodes:
        if node.op != "call_function" or node.target is operator.getitem:
            continue
        if torch.Tag.core not in getattr(node.target, "tags", ()):
            return False
    return True


def core_names() -> list[str]:
    """The names, sorted."""
    found = []
    for name in operator_names(torch.float32):
        try:
            sample = first(operator_samples(name, torch.float32))
            if sample is not None and is_core(sample):
                found.append(name)
        except Exception:  # whatever does not export has no graph
            continue
    return found


def read() -> list[str]:
    """The committed list."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def main() -> int:
    parser = argparse.ArgumentParser(description="Lists the operators that are Core ATen.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    names = core_names()
    assert "tessera" not in sys.modules
    if arguments.check:
        old = read()
        for name in sorted(set(names) ^ set(old)):
            print(f"{'+' if name in names else '-'} {name}")
        return int(names != old)
    head = f"# Written by {Path(__file__).name} with torch {torch.__version__.partition('+')[0]}\n"
    LIST.write_text(head + "".join(f"{name}\n" for name in names), encoding="utf-8")
    print(f"{len(names)} operators")
    return 0


if __name__ == "__main__":
    sys.exit(main())
