# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators of op_db and modules of module_db whose first float32 sample is refused, by reason.

Held both ways: a name that compiles has to leave the table, one that does not any more has to be
put in with its reason. Wrong values have no table. What every sample in every dtype does is in
docs/reference/conformance.md.
"""

from __future__ import annotations

_OPERATORS: dict[str, list[str]] = {
    "factorizations of matrices have no kernel": [
        "linalg.ldl_factor",
        "linalg.ldl_factor_ex",
        "linalg.ldl_solve",
    ],
    "eigenvalues of general matrices have no kernel": [
        "linalg.eig",
        "linalg.eigvals",
    ],
    "sparse tensors are not compiled": [
        "sparse.mm.reduce",
        "sparse.sampled_addmm",
        "to_sparse",
    ],
    "64-bit unsigned integers are not compiled": [
        "hash_tensor",
    ],
}

_MODULES: dict[str, list[str]] = {}


def _by_name(by_reason: dict[str, list[str]]) -> dict[str, str]:
    return {name: reason for reason, names in by_reason.items() for name in names}


#: name: why it is not compiled in full
OPERATORS = _by_name(_OPERATORS)
MODULES = _by_name(_MODULES)
