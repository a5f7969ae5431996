# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whether the PyTorch model still is the one a program was made from.

A program holds for the modules, parameters, buffers and hooks that capture saw. What PyTorch
changes when one of them is assigned (``model.fc.weight = nn.Parameter(…)``,
``load_state_dict(assign=True)``, ``model.fc = nn.Linear(…)``, ``register_forward_hook``) is an
entry of a module's dictionary, hence comparing those entries is enough, and cheap enough for every
call. Writes into the tensors themselves are the business of the executable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from tessera import _core

if TYPE_CHECKING:
    from tessera.compiled import CompiledModule

#: (dictionary, key, value it has there), or (dictionary, None, how many entries it has)
Entry = tuple[dict[str, Any], Any, Any]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def watched_entries(owner: CompiledModule) -> list[Entry]:
    """What must stay as it is for a program of `owner`; replaced children watch for themselves."""
    entries: list[Entry] = []
    for mirror in owner._mirrors():
        module = mirror._torch
        if isinstance(module, torch.jit.ScriptModule):
            continue
        for registered in (module._parameters, module._buffers):
            entries += [(registered, name, value) for name, value in registered.items()]
        children = module._modules
        if children:
            entries.append((children, None, len(children)))
            entries += [
                (children, name, child)
                for name, child in children.items()
                if mirror._children.get(name) is None or mirror._is_mirror(name)
            ]
        for name in _HOOKS:
            hooks = module.__dict__[name]
            entries.append((hooks, None, len(hooks)))
        # A forward() put into the object itself hides that of the class.
        entries.append((module.__dict__, "forward", module.__dict__.get("forward")))
    return entries


def plain_entries(owner: CompiledModule) -> list[Entry]:
    """Numbers and other plain attributes of the modules, which a program holds for as well."""
    return [
        (module.__dict__, name, value)
        for module in (mirror._torch for mirror in owner._mirrors())
        for name, value in module.__dict__.items()
        if name != "training" and isinstance(value, (bool, int, float, str))
    ]


def changed(entries: Sequence[Entry]) -> bool:
    """Whether an entry is no longer what it was."""
    return any(
        len(registered) != value if name is None else registered.get(name) is not value
        for registered, name, value in entries
    )


def _after_step(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    # Unlike the others, fused optimizers write past PyTorch's counters of writes.
    if any(group.get("fused") for group in optimizer.param_groups):
        _core.note_writes()


register_optimizer_step_post_hook(_after_step)
