# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Never more crossings than torch's partitioner, on models with operators taken out."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")

from benchmarks import partition, removal
from benchmarks.architectures import ARCHITECTURES

from tessera.lowering.registry import registry


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["bert-base", "resnet-50", "swin-t"])
@pytest.mark.parametrize("seed", range(4))
def test_never_more_crossings_than_torch(name: str, seed: int) -> None:
    outcome = partition.run(ARCHITECTURES[name], seed, 3, small=True, timed=False, rounds=1)
    assert outcome.unsupported
    assert outcome.ours <= outcome.unmoved <= outcome.torch, str(outcome)
    assert partition.summary([outcome])[0].startswith("more partitions than torch: 0 of 1")


def test_operators_come_back() -> None:
    before = registry.lookup("aten.gelu.default")
    with removal.without(["aten.gelu"]):
        assert registry.lookup("aten.gelu.default") != before
    assert registry.lookup("aten.gelu.default") == before
