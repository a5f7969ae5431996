# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""PyTorch's own lists of operators and modules: the first float32 sample of each, strictly.

What compiles must give PyTorch's values; what does not must be refused, stand in
expected_refusals.py, and give PyTorch's values as a hybrid. `make conformance` runs every dtype
and several samples of each.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from core_aten_ops import read
from expected_refusals import MODULES, OPERATORS
from op_samples import Sample, first, module_names, module_samples, operator_names, operator_samples
from verdict import PASS, REFUSED, SKIPPED, judge

#: Of the operators that are Core ATen by PyTorch's word, at least so many compile.
CORE_SHARE = 0.97


def _check(name: str, samples: Iterator[Sample], expected: dict[str, str]) -> None:
    sample = first(samples)
    if sample is None:
        pytest.skip("PyTorch has no sample")
    verdict = judge(sample)
    if verdict.status == SKIPPED:
        pytest.skip(verdict.reason)
    assert verdict.status in (PASS, REFUSED), verdict.reason
    if name in expected:
        assert verdict.status == REFUSED, f"{name} compiles now: take it out of the table"
    else:
        assert verdict.status == PASS, verdict.reason


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", operator_names(torch.float32))
def test_operator(name: str) -> None:
    _check(name, operator_samples(name, torch.float32), OPERATORS)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", module_names(torch.float32))
def test_module(name: str) -> None:
    _check(name, module_samples(name, torch.float32), MODULES)


def test_names_in_the_table_exist() -> None:
    assert set(OPERATORS) <= set(operator_names(torch.float32))
    assert set(MODULES) <= set(module_names(torch.float32))


def test_share_of_core_aten() -> None:
    names = read()
    refused = [name for name in names if name in OPERATORS]
    assert 1 - len(refused) / len(names) >= CORE_SHARE, refused
