# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The ten models with few layers as hybrids: operators drawn at random stay in PyTorch, and the
result is as near to float64 as twice PyTorch's distance.
"""

from __future__ import annotations

import zlib

import pytest

pytest.importorskip("transformers")

from benchmarks import accuracy, removal
from benchmarks.architectures import ARCHITECTURES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_equals_pytorch(name: str) -> None:
    model, arguments = ARCHITECTURES[name].build(small=True)
    _, importer = removal.captured_importer(model, arguments)
    removed = removal.drawn(removal.operators_of(importer.nodes), zlib.crc32(name.encode()), 4)
    with removal.without(removed):
        outcome = accuracy.measure(ARCHITECTURES[name], small=True, strict=False)
    assert outcome.islands, removed
    assert outcome.ratio <= accuracy.LARGEST_RATIO, f"{removed}: {outcome}"
