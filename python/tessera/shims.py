# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What stands in a Python forward for a child that Tessera runs, and calls it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from tessera.capture.signature import as_torch
from tessera.capture.trees import opened
from tessera.module import AnyModule, Module
from tessera.tensor import Tensor, from_torch


class ChildShim(nn.Module):
    """Stands in a Python forward for a child that Tessera runs."""

    def __init__(self, original: nn.Module, target: Callable[..., Any]) -> None:
        super().__init__()
        self.__dict__["_original"] = original
        self.__dict__["_target"] = target

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_original"], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["_target"](*args, **kwargs)


class SequenceShim(ChildShim):
    """For a Sequential and its like, which a forward may also index."""

    def __len__(self) -> int:
        return len(self.__dict__["_original"])

    def __iter__(self) -> Any:
        return iter(self.__dict__["_original"])

    def __getitem__(self, index: Any) -> Any:
        return self.__dict__["_original"][index]


def is_container(module: nn.Module) -> bool:
    """Whether a module only holds others: it has no forward of its own."""
    return type(module).forward is nn.Module.forward


def adapter(target: AnyModule) -> Callable[..., Any]:
    """`target` as a function over torch tensors; native modules get and give ts.Tensor."""
    if not isinstance(target, Module) or hasattr(target, "_torch"):
        return target

    def call(*args: Any, **kwargs: Any) -> Any:
        native = pytree.tree_map_only(torch.Tensor, from_torch, opened((args, kwargs)))
        result = target(*native[0], **native[1])
        return pytree.tree_map_only(Tensor, as_torch, opened(result))

    return call
