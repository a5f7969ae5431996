# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""State that a forward method keeps in plain attributes: counters, last values.

A captured program holds for the attributes capture met, and writes none. Attributes that are only
written (the last attention weights, say) do no harm, and those that settle after a call (a size
noted once) are captured as they settle. What a call reads and leaves different for the next makes
the program wrong from the second call on, hence such modules are not captured.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from tessera.errors import CaptureError

_PLAIN = (bool, int, float, str)
_REMEDY = "keep it in a buffer: self.register_buffer(name, torch.tensor(…)), written in place"

#: (path of the module, name of the attribute): value
_Attributes = dict[tuple[str, str], Any]


class StatefulError(CaptureError):
    """A call changes plain attributes that the next call reads; ``fqn`` is whose they are."""

    def __init__(self, fqn: str, name: str, what: str) -> None:
        place = f"{fqn}.{name}" if fqn else name
        super().__init__(f"forward() changes self.{place} ({what}) at each call", remedy=_REMEDY)
        self.fqn = fqn


class AttributeState:
    """What calls of `root`, a copy made for capture, do to plain attributes."""

    def __init__(self, root: nn.Module) -> None:
        self._modules = dict(root.named_modules())
        self._before: _Attributes = {}
        self._after: _Attributes = {}

    def begin(self) -> None:
        """Before a call."""
        self._before = self._read()

    def end(self) -> None:
        """After it; torch.export puts everything back later."""
        self._after = self._read()

    def _read(self) -> _Attributes:
        return {
            (path, name): value
            for path, module in self._modules.items()
            for name, value in module.__dict__.items()
            if value is None or isinstance(value, (*_PLAIN, torch.Tensor))
        }

    def _changed(self) -> _Attributes:
        """Plain attributes with their new values."""
        return {
            place: value
            for place, value in self._after.items()
            if isinstance(value, _PLAIN) and not _same(self._before.get(place), value)
        }

    def advance(self) -> bool:
        """Sets plain attributes to what the call left; whether there were any to set."""
        changed = self._changed()
        for (path, name), value in changed.items():
            self._modules[path].__dict__[name] = value
        return bool(changed)

    def require_settled(self) -> None:
        """After another call: StatefulError if that left plain attributes different again."""
        for (path, name), value in self._changed().items():
            raise StatefulError(path, name, f"from {self._before.get((path, name))!r} to {value!r}")

    def require_unread(self, program: ExportedProgram) -> None:
        """StatefulError if `program` reads a tensor that the call put another in the place of."""
        users = {node.name: node.users for node in program.graph.nodes}
        read = {
            str(spec.target)
            for spec in program.graph_signature.input_specs
            if spec.kind == InputKind.CONSTANT_TENSOR and users.get(spec.arg.name)
        }
        memory = {
            value.data_ptr()
            for name, value in program.constants.items()
            if name in read and isinstance(value, torch.Tensor) and value.numel()
        }
        for (path, name), value in self._after.items():
            old = self._before.get((path, name))
            if value is old or not isinstance(old, torch.Tensor) or not old.numel():
                continue
            if old.data_ptr() in memory:
                raise StatefulError(path, name, "a tensor that is no buffer")


def _same(left: Any, right: Any) -> bool:
    # NaN is no change.
    return type(left) is type(right) and bool(left == right or (left != left and right != right))
