# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Hooks on the user's modules.

PyTorch's own hooks (weight norm, pruning, …) only compute and are traced with the rest, as are
those by which transformers collects hidden states and attention weights. The user's may do
anything, so a module that has some keeps running in PyTorch, hooks and all.
"""

from __future__ import annotations

from typing import Any

from torch import nn

_DICTS = ("_forward_hooks", "_forward_pre_hooks")
#: Those that run where autograd records.
_BACKWARD = ("_backward_hooks", "_backward_pre_hooks")


#: Whose hooks do nothing but compute.
_COMPUTING = ("torch.nn.", "transformers.utils.output_capturing")


def _only_computes(hook: Any) -> bool:
    owner = getattr(hook, "__module__", None) or type(hook).__module__
    return str(owner).startswith(_COMPUTING)


def has_user_hooks(module: nn.Module, gradients: bool = False) -> bool:
    """Whether `module` itself has forward hooks that are not PyTorch's own, or with `gradients`
    hooks of its backward pass."""
    names = (*_DICTS, *_BACKWARD) if gradients else _DICTS
    return any(
        not _only_computes(hook) for name in names for hook in getattr(module, name).values()
    )


def strip_user_hooks(module: nn.Module) -> None:
    """Removes the user's forward hooks from a (copied) module."""
    for name in _DICTS:
        hooks = getattr(module, name)
        for key in [key for key, hook in hooks.items() if not _only_computes(hook)]:
            del hooks[key]


def outermost_hooked(root: nn.Module, gradients: bool = False) -> dict[str, nn.Module]:
    """Submodules with the user's hooks, by path, without those inside of one another."""
    found: dict[str, nn.Module] = {}

    def visit(module: nn.Module, path: str) -> None:
        for name, child in module.named_children():
            child_path = f"{path}.{name}" if path else name
            if has_user_hooks(child, gradients):
                found[child_path] = child
            else:
                visit(child, child_path)

    visit(root, "")
    return found
