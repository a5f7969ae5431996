# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Layers whose forward() is PyTorch's own, taken apart into operators; see nn/_composite.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from tessera.nn._composite import composite
from tessera.nn.layers.base import Layer


@dataclass(frozen=True)
class Form:
    """What such a layer computes depends on, its tensors apart; programs are kept by it."""

    counterpart: type[nn.Module]
    #: name, kind and value of each attribute: 1, 1.0 and True are kept apart
    attributes: tuple[tuple[str, type, Any], ...]


class CompositeLayer(Layer):
    """Base of layers without a forward() of their own."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        kind = type(self).counterpart
        names = [*self._parameters, *self._buffers]
        tensors = {name: getattr(self, name) for name in names}
        attributes = tuple(
            (name, type(value), tuple(value) if isinstance(value, list) else value)
            for name, value in vars(self).items()
            if not name.startswith("_")
        )
        return composite(
            type(self).__name__, _forward, Form(kind, attributes), tensors, *args, **kwargs
        )


def _forward(form: Form, tensors: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    """PyTorch's forward on a module of its kind that has these attributes and tensors."""
    module = form.counterpart.__new__(form.counterpart)
    nn.Module.__init__(module)
    module.__dict__.update({name: value for name, _, value in form.attributes})
    module.__dict__.update(tensors)
    if isinstance(module, nn.RNNBase):
        names = module.__dict__["flat_weights_names"]
        module.__dict__["_flat_weights"] = [tensors[name] for name in names]
        # It would look for weights that were exchanged, and these are the present ones.
        module.__dict__["_update_flat_weights"] = lambda: None
    return module.forward(*args, **kwargs)
