# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Where complex tensors of PyTorch meet programs of real ones: as views of the same memory, except
arguments with a bit of conjugation or negation, which are copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from tessera._core import OutdatedError
from tessera.lowering.complexes.dtypes import real_of


def as_real(tensor: torch.Tensor) -> torch.Tensor:
    """The memory of a tensor as real numbers. What a bit of conjugation means stays outside of it:
    the program has that in it (`value.split`)."""
    if not tensor.dtype.is_complex:
        return tensor
    plain = tensor.detach()
    return torch.view_as_real(plain.conj() if plain.is_conj() else plain)


class ComplexParameter:
    """A complex parameter or buffer as real numbers, wherever its memory is: assigning to .data and
    set_() give a tensor other memory, of which a view made before knows nothing."""

    __slots__ = ("_form", "_kind", "_tensor", "view")

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor
        self._kind = self._kind_now()
        self._form = self._form_now()
        #: what the executable reads; remains one object, and counts writes with the tensor
        self.view = as_real(tensor)

    def _kind_now(self) -> tuple[Any, ...]:
        # Another implementation behind the same object counts writes of its own.
        return self._tensor.is_conj(), self._tensor._cdata

    def _form_now(self) -> tuple[Any, ...]:
        tensor = self._tensor
        return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.is_neg()

    @property
    def outdated(self) -> bool:
        """Whether no view will do: what conjugation means to a program is compiled into it."""
        return self._kind != self._kind_now()

    def follow(self) -> bool:
        """Turns the view to where the tensor now is; whether that is elsewhere or otherwise."""
        form = self._form_now()
        if form == self._form:
            return False
        self.view.data = as_real(self._tensor)
        self._form = form
        return True


class ComplexExecutable:
    """An executable of real tensors behind complex arguments, parameters and results.

    In all else it is the executable.
    """

    __slots__ = ("_executable", "_inputs", "_outputs", "_parameters", "_single")

    def __init__(
        self,
        executable: Any,
        inputs: Mapping[int, tuple[str, torch.dtype]],
        outputs: Mapping[int, bool],
        count: int,
        parameters: Sequence[ComplexParameter],
    ) -> None:
        self._executable = executable
        #: the complex arguments, by position: name and dtype
        self._inputs = inputs
        #: the complex results, by position: whether they are conjugates of what the program gives
        self._outputs = outputs
        self._single = count == 1
        self._parameters = parameters

    @property
    def outdated(self) -> bool:
        return bool(self._executable.outdated) or any(item.outdated for item in self._parameters)

    def refresh(self) -> None:
        for parameter in self._parameters:
            parameter.follow()
        self._executable.refresh()

    def _follow(self) -> None:
        """Before a call: the parameters as they now are."""
        moved = False
        for parameter in self._parameters:
            if parameter.outdated:
                raise OutdatedError(
                    "a complex parameter is another tensor, or conjugated otherwise"
                )
            moved = parameter.follow() or moved
        if moved:
            self._executable.refresh()

    def _taken(self, tensors: Sequence[Any]) -> list[Any]:
        given = list(tensors)
        for position, (name, dtype) in self._inputs.items():
            value = given[position] if position < len(given) else None
            if not isinstance(value, torch.Tensor) or value.dtype != dtype:
                got = "nothing" if value is None else f"a tensor of {value.dtype}"
                raise TypeError(f"input {name!r} must be a tensor of {dtype}, but got {got}")
            plain = value.detach().resolve_conj().resolve_neg()
            given[position] = torch.view_as_real(plain)
        return given

    def _given(self, result: Any) -> Any:
        if not self._outputs:
            return result
        values = [result] if self._single else list(result)
        for position, conjugate in self._outputs.items():
            value = torch.view_as_complex(values[position])
            values[position] = value.conj() if conjugate else value
        return values[0] if self._single else tuple(values)

    def __call__(self, *tensors: Any) -> Any:
        self._follow()
        return self._given(self._executable(*self._taken(tensors)))

    def profile(self, *tensors: Any) -> Any:
        self._follow()
        result, times = self._executable.profile(*self._taken(tensors))
        return self._given(result), times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executable, name)


def complex_island(
    run: Callable[..., tuple[torch.Tensor, ...]],
    inputs: frozenset[int],
    outputs: frozenset[int],
) -> Callable[..., tuple[torch.Tensor, ...]]:
    """An island of complex tensors as a function of real ones, as the program has them."""
    if not inputs and not outputs:
        return run

    def island(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        results = run(
            *(
                torch.view_as_complex(value.contiguous()) if position in inputs else value
                for position, value in enumerate(tensors)
            )
        )
        return tuple(
            torch.view_as_real(value.resolve_conj().resolve_neg()) if position in outputs else value
            for position, value in enumerate(results)
        )

    if hasattr(run, "calls"):
        island.calls = run.calls  # type: ignore[attr-defined]
    return island


def crossing_shape(shape: Sequence[int], dtype: torch.dtype) -> tuple[list[int], torch.dtype]:
    """How a tensor crosses: a complex one with its parts along one more dimension."""
    return [*shape, *([2] if dtype.is_complex else [])], real_of(dtype)
