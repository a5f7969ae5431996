# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Complex numbers, which Graph IR does not have: each tensor of them is two tensors of reals.

`value.py` is such a tensor while a graph is built, `boundary.py` what it is to a caller and to
PyTorch. An operator on complex numbers is written in PyTorch over the parts (`pairs.py`, one family
a file), traced with the arguments of its node, and what comes out is lowered as any other graph.
See docs/decisions/0012-complex-numbers.md.
"""

from __future__ import annotations

# Each fills the table in pairs.py.
from tessera.lowering.complexes import (
    contraction,
    creation,
    elementwise,
    functions,
    linear_algebra,
    movement,
    reduction,
)

__all__ = [
    "contraction",
    "creation",
    "elementwise",
    "functions",
    "linear_algebra",
    "movement",
    "reduction",
]
