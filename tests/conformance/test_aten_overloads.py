# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Single overloads of ATen's operators, as `utils/conformance.py --overloads` sweeps them all."""

from __future__ import annotations

import aten_calls
import pytest
import torch
from verdict import PASS, judge

#: Operators of op_db, and some of the overloads they lead to.
WANTED = {
    "nn.functional.hardshrink": {
        "aten.hardshrink.default",
        "aten.hardshrink.out",
        "aten.hardshrink_backward.default",
    },
    "clamp_min": {"aten.clamp_min.default", "aten.clamp_min_.default", "aten.clamp_min.Tensor_out"},
    "msort": {"aten.msort.default", "aten.msort.out"},
    "t_copy": {"aten.t_copy.default", "aten.t_copy.out"},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WANTED)
def test_overloads(name: str) -> None:
    found = aten_calls.samples(aten_calls.collect((torch.float32,), name))
    assert set(found) >= WANTED[name]
    for overload in WANTED[name]:
        for sample in found[overload]:
            verdict = judge(sample, hybrid=False)
            assert verdict.status == PASS, f"{sample.label}: {verdict.reason}"
