# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The ten models of benchmarks/architectures.py with few layers: strict, no island, as near to
float64 as twice PyTorch's distance. `python -m benchmarks.accuracy` holds their real sizes to it.
"""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")

from benchmarks import accuracy
from benchmarks.architectures import ARCHITECTURES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_as_near_to_float64_as_pytorch(name: str) -> None:
    outcome = accuracy.measure(ARCHITECTURES[name], small=True)
    assert outcome.holds, str(outcome)
