# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What can become of a node that is lowered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """Why a node runs in PyTorch."""

    code: str
    reason: str
    remedy: str = ""
    #: taking the operator apart would be wrong as well
    whole: bool = False


@dataclass(frozen=True)
class Done:
    """A node was lowered."""

    status: str = "compiled"
    lowered_by: str = ""
    reported: bool = True


@dataclass(frozen=True)
class Uncrossable:
    """Stands for a value that compiled code cannot hold."""

    what: str
