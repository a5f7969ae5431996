# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Fourier transforms: one pass of `graph.fft` for each dimension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: by the operator's name
TRANSFORMS: dict[str, Callable[..., Any]] = {}
