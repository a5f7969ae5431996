# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The keys behind a program's random numbers, drawn from PyTorch's generator for every call.

Every operator of a program that draws numbers has a key of its own (`LoweringContext.random_bits`).
A call draws all of them at once, so that ``torch.manual_seed``, ``torch.get_rng_state`` and
``torch.random.fork_rng`` do to compiled code what they do to PyTorch's.
"""

from __future__ import annotations

from typing import Any

import torch

from tessera import _core


def draw_keys(count: int) -> torch.Tensor:
    """`count` keys from PyTorch's default generator for the CPU."""
    return torch.empty(count, dtype=torch.int64, device="cpu").random_()


class KeyedExecutable:
    """An executable whose first argument are keys: they are drawn here, the others are passed on.

    In all else it is the executable.
    """

    __slots__ = ("_count", "_executable")

    def __init__(self, executable: Any, count: int) -> None:
        self._executable = executable
        self._count = count

    def _keys_for(self, tensors: tuple[Any, ...]) -> Any:
        keys = draw_keys(self._count)
        # One torch tensor among the arguments would make torch tensors of the results.
        native = bool(tensors) and all(isinstance(item, _core.Tensor) for item in tensors)
        return _core.from_dlpack(keys) if native else keys

    def __call__(self, *tensors: Any) -> Any:
        return self._executable(self._keys_for(tensors), *tensors)

    def profile(self, *tensors: Any) -> Any:
        return self._executable.profile(self._keys_for(tensors), *tensors)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executable, name)


def with_keys(executable: Any, count: int) -> Any:
    """`executable`, which takes `count` random keys first, as a callable of the other arguments."""
    return KeyedExecutable(executable, count) if count else executable
