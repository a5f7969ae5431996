# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What every layer of `ts.nn` is: the native counterpart of one of `torch.nn`.

A layer is made with the arguments of its counterpart and has that one's parameters, buffers and
attributes: state dicts load as they are, and from one seed come the same initial values.
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn

from tessera.errors import ArgumentError, ArgumentTypeError
from tessera.module import Module

L = TypeVar("L", bound="Layer")

#: Layers by the torch.nn class they stand for.
LAYERS: dict[type[nn.Module], type[Layer]] = {}


class Layer(Module):
    """Base of the layers; `counterpart` is the class of torch.nn."""

    counterpart: ClassVar[type[nn.Module]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        counterpart = cls.__dict__.get("counterpart")
        if counterpart is None:
            return
        LAYERS[counterpart] = cls
        # The arguments are the counterpart's, which editors and help() should show.
        cls.__signature__ = inspect.signature(counterpart)  # type: ignore[attr-defined]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self._adopt(self.counterpart(*args, **kwargs))

    @classmethod
    def from_torch(cls: type[L], module: nn.Module) -> L:
        """The native layer over the parameters and buffers of a torch.nn module.

        Both share the tensors from then on. Raises ArgumentTypeError for a module of another
        class.
        """
        if type(module) is not cls.counterpart:
            raise ArgumentTypeError(
                f"{cls.__name__}.from_torch takes a torch.nn.{cls.counterpart.__name__}, not "
                f"{type(module).__name__}",
                remedy="use ts.nn.from_torch, which finds the layer",
            )
        layer = cls.__new__(cls)
        Module.__init__(layer)
        layer._adopt(module)
        return layer

    def _adopt(self, source: nn.Module) -> None:
        """Takes over everything the counterpart has been made with."""
        for name, parameter in source._parameters.items():
            self._check_device(name, parameter)
            self.register_parameter(name, parameter)
        for name, buffer in source._buffers.items():
            self._check_device(name, buffer)
            persistent = name not in source._non_persistent_buffers_set
            self.register_buffer(name, buffer, persistent)
        for name, child in source._modules.items():
            self.add_module(name, None if child is None else from_torch(child))
        for name, value in vars(source).items():
            if not name.startswith("_"):
                object.__setattr__(self, name, value)

    def _check_device(self, name: str, tensor: torch.Tensor | None) -> None:
        if tensor is not None and tensor.device.type != "cpu":
            raise ArgumentError(
                f"{type(self).__name__}: device={str(tensor.device)!r} holds {name!r}, and this "
                "version runs on the CPU",
                remedy="leave device out",
            )

    def extra_repr(self) -> str:
        text: str = self.counterpart.extra_repr(self)  # type: ignore[arg-type]
        return text


def from_torch(module: nn.Module) -> Any:
    """The native module for a PyTorch one, over the same parameters: containers and layers one by
    one, everything else wrapped by `ts.compat.wrap`.

    Raises ArgumentTypeError for anything but a torch.nn.Module.
    """
    if not isinstance(module, nn.Module):
        raise ArgumentTypeError(
            f"ts.nn.from_torch takes a torch.nn.Module, not {type(module).__name__}"
        )
    layer = LAYERS.get(type(module))
    if layer is not None and not _has_extras(module):
        return layer.from_torch(module)
    from tessera.compat.wrapped import wrap

    return wrap(module)


def _has_extras(module: nn.Module) -> bool:
    """Whether hooks or parametrizations make it compute more than its class does."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or "parametrizations" in module._modules
        or "forward" in vars(module)
    )
