# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Calls of a model by PyTorch, before or beside its capture: what it gives, or refuses to take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from tessera.capture.objects import copied_arguments
from tessera.capture.signature import as_torch
from tessera.capture.structure import copy_structure
from tessera.tensor import Tensor


def call_once(
    copy: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], gradients: bool = False
) -> Any:
    """What `copy`, with buffers of its own, gives; arguments and random numbers are left alone.

    With `gradients`, where autograd records.
    """
    given = copied_arguments((tuple(args), dict(kwargs)), torch.clone)
    with torch.set_grad_enabled(gradients), torch.random.fork_rng(devices=[]):
        return copy(*given[0], **given[1])


def own_error(
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    training: Mapping[int, bool] | None = None,
    gradients: bool = False,
) -> Exception | None:
    """What the model itself raises for these arguments; None when it takes them.

    Its state, the arguments and the random numbers are left alone.
    """
    copy = copy_structure(model, training=training, clone_buffers=True)
    given = pytree.tree_map_only(Tensor, as_torch, (tuple(args), dict(kwargs)))
    try:
        call_once(copy, given[0], given[1], gradients)
    except Exception as error:
        error.add_note(f"raised by {type(model).__name__} itself, in PyTorch as well")
        return error
    return None
