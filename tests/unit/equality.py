# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Comparing what Tessera runs with the PyTorch module it came from, or stands for."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

import tessera as ts


def assert_same(got: Any, want: Any, **tolerances: float) -> None:
    """Same structure, types, shapes and dtypes; values within float32 tolerance."""
    got_leaves, got_spec = pytree.tree_flatten(got)
    want_leaves, want_spec = pytree.tree_flatten(want)
    assert got_spec == want_spec
    for left, right in zip(got_leaves, want_leaves, strict=True):
        if isinstance(right, torch.Tensor):
            torch.testing.assert_close(left, right.detach(), equal_nan=True, **tolerances)
        else:
            assert type(left) is type(right)
            assert left == right


def convert_and_compare(
    model: nn.Module, *args: Any, calls: int = 2, strict: bool = False, **kwargs: Any
) -> Any:
    """Converts a model, calls it like the original, compares results and side effects."""
    reference = copy.deepcopy(model)
    converted = ts.from_pytorch(model, args, example_kwargs=kwargs, strict=strict)
    for _ in range(calls):
        theirs, ours = copy.deepcopy((args, kwargs)), copy.deepcopy((args, kwargs))
        with torch.no_grad():
            want = reference(*theirs[0], **theirs[1])
        assert_same(converted(*ours[0], **ours[1]), want)
        assert_same(ours, theirs)
        assert_same(dict(model.named_buffers()), dict(reference.named_buffers()))
    return converted


def native_and_torch(name: str, args: Any, kwargs: Any) -> tuple[Any, nn.Module]:
    """The layer `name` of ts.nn and PyTorch's, from one seed."""
    torch.manual_seed(1)
    native = getattr(ts.nn, name)(*args, **kwargs)
    torch.manual_seed(1)
    return native, getattr(nn, name)(*args, **kwargs)


def as_torch(tree: Any) -> Any:
    """`tree` with PyTorch's tensors in the place of ours, over the same memory."""
    return pytree.tree_map_only(ts.Tensor, torch.from_dlpack, tree)
