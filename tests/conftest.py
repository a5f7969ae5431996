# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Fixtures every test may use."""

from __future__ import annotations

import os

# Before tessera is imported: tests neither read nor fill the user's cache.
os.environ.setdefault("TESSERA_CACHE_DIR", "off")

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same random state."""
    torch.manual_seed(0)
