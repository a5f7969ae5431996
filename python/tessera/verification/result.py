# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a verification found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ModuleCheck:
    """One value of the model, compared.

    Errors are the largest absolute difference from PyTorch in float64: Tessera's, and that of
    PyTorch in the model's own precision; `allowed` is what Tessera's may be. For values that are
    no floating-point numbers they count the elements that differ.
    """

    #: path of the innermost module that computes the value; "" is the model itself
    module: str
    #: the operator that computes the value, and its name in the captured graph
    op: str
    node: str
    file: str
    line: int
    error: float
    torch_error: float
    allowed: float
    ok: bool

    @property
    def source(self) -> str:
        """`model.py:12`."""
        return f"{Path(self.file).name}:{self.line}" if self.file else ""

    def __str__(self) -> str:
        where = self.module or "(root)"
        line = f" at {self.source}" if self.source else ""
        return (
            f"{where}: {self.op}{line} is off by {self.error:.3g}, allowed {self.allowed:.3g} "
            f"(PyTorch itself: {self.torch_error:.3g})"
        )


@dataclass
class Verification:
    """The answer of ``tess.verify(x)``: true where every module agrees."""

    model: str
    #: what goes into and comes out of calls of submodules, in the order of the computation
    modules: list[ModuleCheck] = field(default_factory=list)
    #: the first wrong value, with the innermost module that computes it
    first: ModuleCheck | None = None
    #: the first operator inside of it that is wrong
    operator: ModuleCheck | None = None
    #: what could not be compared, and why
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing diverged."""
        return self.first is None

    def __bool__(self) -> bool:
        return self.ok

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {**asdict(self), "ok": self.ok}

    def __str__(self) -> str:
        lines = []
        if self.first is None:
            worst = max(self.modules, key=_share, default=None)
            lines.append(
                f"{self.model}: all {len(self.modules)} values that enter or leave a module agree"
            )
            if worst is not None:
                lines.append(f"  closest to its limit: {worst}")
        else:
            lines.append(f"{self.model} diverges first in {self.first}")
            if self.operator is not None and self.operator.node != self.first.node:
                lines.append(f"  the first wrong operator in it: {self.operator}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    __repr__ = __str__


def _share(check: ModuleCheck) -> float:
    return check.error / check.allowed if check.allowed else 0.0
