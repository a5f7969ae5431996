# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The programs of one module for the many sizes of its arguments: from few captures, over shared
code. Which sizes change is declared (`dynamic_shapes=`), or seen from call to call.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn
from torch.export import Dim

from tessera import _core
from tessera.capture.compared import require_numbers_do
from tessera.capture.dynamic import DynamicShapes
from tessera.capture.export import Captured, DynamicCapture, SizePlace, capture_symbolic
from tessera.capture.leaves import TensorSpec
from tessera.capture.signature import CallSignature
from tessera.capture.specialize import OutsideCapture
from tessera.program import note_sizes

LOG = logging.getLogger("tessera.dynamic")

#: Captures of a module for sizes that it treats differently; those of further ones are captured
#: each on its own.
MAX_CAPTURES = 4
#: How often other dimensions than before may turn out to change.
MAX_WIDENINGS = 4

Call = tuple[tuple[Any, ...], dict[str, Any]]


class SizedCaptures:
    """What captures a module for the sizes of a call, from one capture for many where it can.

    torch's captures do not hold for sizes of 0 and 1, nor across a branch on a size: there is one
    for each set of dimensions that are 0 or 1, and for each branch that was taken.
    """

    def __init__(
        self,
        module: nn.Module,
        dynamic: DynamicShapes,
        training: Mapping[int, bool],
        derived: Mapping[int, SizePlace] | None = None,
    ) -> None:
        """`derived` names integers among the arguments that are, in every call, a tensor's size."""
        self.dynamic = dynamic
        self._derived = derived
        self.family = _core.KernelFamily()
        self._module = module
        self._training = training
        self._known: dict[tuple[int, ...], list[DynamicCapture]] = {}
        self._failed: set[tuple[int, ...]] = set()
        #: captures of which the family has not seen another size
        self._new: list[tuple[DynamicCapture, DynamicShapes]] = []

    def start(self, example: Call) -> None:
        """Captures for sizes of which none is 0 or 1, those of `example`.

        ArgumentError where the model does not allow the sizes declared, SizesDiffer where each is
        best captured alone.
        """
        self._failed.add(())
        capture = capture_symbolic(self._module, *example, self.dynamic, self._training)
        require_numbers_do(capture, self._module, *example, self._training)
        self._failed.clear()
        self._known.setdefault((), []).append(capture)
        self._new.append((capture, self.dynamic))

    def at(self, signature: CallSignature, example: Call | None = None) -> Captured | None:
        """The capture for calls like `signature`, of which `example` is one.

        None where that is best captured for these sizes alone.
        """
        small = self._small(signature)
        if len(small) == len(self.dynamic.key(signature)):
            return None
        known = self._known.setdefault(small, [])
        for capture in known:
            with contextlib.suppress(OutsideCapture):
                return capture.at(shapes_of(signature))
        if example is None or small in self._failed or len(known) >= MAX_CAPTURES:
            return None
        dynamic = self.dynamic.above_one(signature)
        try:
            capture = DynamicCapture(
                self._module, *example, dynamic, training=self._training, derived=self._derived
            )
            captured = capture.at(shapes_of(signature))
            require_numbers_do(capture, self._module, *example, self._training)
        except Exception as reason:  # torch's, or the model's own
            LOG.info("%s is captured for each size: %s", type(self._module).__name__, reason)
            self._failed.add(small)
            return None
        known.append(capture)
        self._new.append((capture, dynamic))
        return captured

    def taught(self, signature: CallSignature, threads: int, precision: str | None = None) -> Any:
        """The code that programs of different sizes share.

        It is shown the kernels of another size of each capture before any is compiled, so that it
        knows from the start which numbers change.
        """
        for capture, dynamic in self._new:
            try:
                captured = capture.at(dynamic.other_shapes(signature))
                captured = replace(captured, precision=precision)
                note_sizes(self._module, signature, captured, self.family, threads)
            except Exception as reason:  # nobody asked for that size: no call is to fail for it
                LOG.info("%s: no other size is known: %s", type(self._module).__name__, reason)
        self._new.clear()
        return self.family

    def forget(self) -> None:
        """Prepares everything derived from parameters again."""
        self.family.forget()

    def _small(self, signature: CallSignature) -> tuple[int, ...]:
        """Which sizes of a call are 0 or 1: their places among the dynamic ones, signed."""
        sizes = self.dynamic.key(signature)
        return tuple(place if size else -1 - place for place, size in enumerate(sizes) if size < 2)


class SeenSizes:
    """Calls that differ in sizes of tensors and in integers only, and what of that changes.

    Integers may be the sizes of tensors, as in the graphs of `torch.compile`; those that are not
    are values like any other, which a program holds for.
    """

    def __init__(self, first: CallSignature) -> None:
        self._first = first
        self._dims: tuple[frozenset[int], ...] = (frozenset(),) * len(first.leaves)
        self._derived: dict[int, SizePlace] = {}
        self._widenings = 0
        self._captures: SizedCaptures | None = None

    def captures(
        self, module: nn.Module, signature: CallSignature, training: Mapping[int, bool]
    ) -> SizedCaptures | None:
        """What captures for the sizes of a call; None for the first, and where it cannot help."""
        derived = self._derived_for(signature)
        if derived is None:
            return None
        dims = tuple(
            known | _different(one, other)
            for known, one, other in zip(
                self._dims, self._first.leaves, signature.leaves, strict=True
            )
        )
        if dims != self._dims or derived != self._derived:
            self._widenings += 1
            self._dims, self._derived = dims, derived
            dynamic = DynamicShapes(tuple(dict.fromkeys(sorted(some), Dim.AUTO) for some in dims))
            self._captures = SizedCaptures(module, dynamic, training, derived)
        return self._captures if self._widenings <= MAX_WIDENINGS else None

    def _derived_for(self, signature: CallSignature) -> dict[int, SizePlace] | None:
        """Which integers are sizes of tensors; None where one changes that is none."""
        derived = dict(self._derived)
        for index, (one, other) in enumerate(
            zip(self._first.leaves, signature.leaves, strict=True)
        ):
            if isinstance(one, TensorSpec):
                continue
            if index not in derived and type(one.value) is int and one.value != other.value:
                found = _common_place(self._first, one.value, signature, other.value)
                if found is None:
                    return None
                derived[index] = found
            if index in derived:
                place, dim = derived[index]
                if signature.leaves[place].shape[dim] != other.value:
                    return None
        return derived

    def forget(self) -> None:
        if self._captures is not None:
            self._captures.forget()


def _common_place(
    first: CallSignature, value: int, other: CallSignature, other_value: int
) -> SizePlace | None:
    """The dimension whose size is the one number in one call, and the other in the other."""
    for place in first.tensor_positions:
        sizes = zip(first.leaves[place].shape, other.leaves[place].shape, strict=True)
        for dim, found in enumerate(sizes):
            if found == (value, other_value):
                return place, dim
    return None


def _different(one: Any, other: Any) -> set[int]:
    """The dimensions in which two leaves of one form differ."""
    sizes = zip(getattr(one, "shape", ()), getattr(other, "shape", ()), strict=True)
    return {dim for dim, (left, right) in enumerate(sizes) if left != right}


def shapes_of(signature: CallSignature) -> list[tuple[int, ...]]:
    return [signature.leaves[place].shape for place in signature.tensor_positions]
