# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Where complex tensors of PyTorch meet programs of real ones: views, so nothing is copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from tessera.lowering.complexes.dtypes import real_of


def as_real(tensor: torch.Tensor) -> torch.Tensor:
    """The memory of a tensor as real numbers. What a bit of conjugation means stays outside of it:
    the program has that in it (`value.split`)."""
    if not tensor.dtype.is_complex:
        return tensor
    plain = tensor.detach()
    return torch.view_as_real(plain.conj() if plain.is_conj() else plain)


class ComplexExecutable:
    """An executable of real tensors behind complex arguments and results.

    In all else it is the executable.
    """

    __slots__ = ("_executable", "_inputs", "_outputs", "_single")

    def __init__(
        self,
        executable: Any,
        inputs: Mapping[int, tuple[str, torch.dtype]],
        outputs: Mapping[int, bool],
        count: int,
    ) -> None:
        self._executable = executable
        #: the complex arguments, by position: name and dtype
        self._inputs = inputs
        #: the complex results, by position: whether they are conjugates of what the program gives
        self._outputs = outputs
        self._single = count == 1

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
        return self._given(self._executable(*self._taken(tensors)))

    def profile(self, *tensors: Any) -> Any:
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
