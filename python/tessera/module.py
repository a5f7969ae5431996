# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``ts.Module``: the tree of modules, with the interface people know from ``torch.nn.Module``.

Users derive their native modules from it; converted models and wrapped modules are subclasses.
Children may be of either kind, Tessera's or PyTorch's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import nn

from tessera.errors import ArgumentError, ArgumentTypeError, NotYetSupportedError
from tessera.tensor import Tensor
from tessera.tracing.active import building, current
from tessera.tracing.attributes import refuse_traced

#: A module of either kind.
AnyModule = Any
M = TypeVar("M", bound="Module")

_DEVICE_REMEDY = "this version runs on the CPU; leave the model there"


def is_module(value: Any) -> bool:
    """Whether `value` is a module of Tessera's or PyTorch's."""
    return isinstance(value, (Module, nn.Module))


#: What only compiled modules have: where to get it.
_ELSEWHERE = dict.fromkeys(
    ("report", "explain", "profile", "ir"),
    ": it runs uncompiled; what ts.jit(module) gives has one",
)
_ELSEWHERE["verify"] = ": verify compares a converted PyTorch model with the original"


class Module:
    """Base class of everything with parameters and a forward."""

    training: bool

    def __init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "_children", OrderedDict())
        set_(self, "_parameters", OrderedDict())
        set_(self, "_buffers", OrderedDict())
        set_(self, "_non_persistent", set())
        set_(self, "training", True)

    # --- calling --------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(); define it in the class")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        listener = current()
        if listener is not None:
            return listener.call_module(self, args, kwargs)
        return self.forward(*args, **kwargs)

    # --- attributes -----------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if "_children" not in self.__dict__:
            raise AttributeError(
                f"cannot set {name!r} before {type(self).__name__}.__init__() has called "
                "super().__init__()"
            )
        if is_module(value):
            self._forget(name)
            self._children[name] = value
        elif isinstance(value, nn.Parameter):
            self._forget(name)
            self._parameters[name] = value
        elif name in self._buffers and (value is None or isinstance(value, (torch.Tensor, Tensor))):
            self._buffers[name] = value
        elif name in self._children and value is not None:
            raise ArgumentTypeError(
                f"cannot assign {type(value).__name__} as child {name!r}: a ts.Module, a "
                "torch.nn.Module or None is expected"
            )
        else:
            if building() is not None:
                refuse_traced(name, value)
            self._forget(name)
            object.__setattr__(self, name, value)

    def _forget(self, name: str) -> None:
        for registered in (self._children, self._parameters, self._buffers):
            registered.pop(name, None)
        self.__dict__.pop(name, None)

    def __getattr__(self, name: str) -> Any:
        for key in ("_children", "_parameters", "_buffers"):
            registered = self.__dict__.get(key)
            if registered is not None and name in registered:
                value = registered[name]
                context = building() if key != "_children" and value is not None else None
                return value if context is None else context.attribute(value)
        hint = _ELSEWHERE.get(name, "")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def __delattr__(self, name: str) -> None:
        for registered in (self._children, self._parameters, self._buffers):
            if name in registered:
                del registered[name]
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = set(super().__dir__())
        return sorted(names.union(self._children, self._parameters, self._buffers))

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Adds a tensor that belongs to the state but is no parameter."""
        if not isinstance(tensor, (torch.Tensor, Tensor, type(None))):
            raise ArgumentTypeError(f"buffer {name!r} must be a tensor or None, not {tensor!r}")
        self._forget(name)
        self._buffers[name] = tensor
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def update_buffer(self, name: str, value: Any) -> None:
        """Gives a buffer new values, cast and broadcast to its type; its memory stays the same.

        For forward(): the buffer changes with each call, also of what ts.jit compiled. Raises
        ArgumentError when there is no such buffer or its shape cannot hold the value.
        """
        target = self._buffers.get(name)
        if target is None:
            raise ArgumentError(
                f"{type(self).__name__} has no buffer {name!r}",
                remedy=f"add it in __init__: self.register_buffer({name!r}, …)",
            )
        context = building()
        if context is not None:
            context.write(target, value)
            return
        source = torch.as_tensor(_torch(value))
        try:
            with torch.no_grad():
                _torch(target).copy_(source)
        except RuntimeError as error:
            raise ArgumentError(
                f"buffer {name!r} of {type(self).__name__} has shape {tuple(target.shape)}, which "
                f"cannot hold {tuple(source.shape)}"
            ) from error

    def register_parameter(self, name: str, parameter: nn.Parameter | None) -> None:
        """Adds a parameter, as assigning it does."""
        if parameter is not None and not isinstance(parameter, nn.Parameter):
            raise ArgumentTypeError(f"parameter {name!r} must be a torch.nn.Parameter or None")
        self._forget(name)
        self._parameters[name] = parameter

    def add_module(self, name: str, module: AnyModule | None) -> None:
        """Adds a child, as assigning it does."""
        if module is not None and not is_module(module):
            raise ArgumentTypeError(f"{module!r} is no module")
        self._forget(name)
        self._children[name] = module

    # --- the tree -------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, AnyModule]]:
        """Immediate children with their names."""
        seen: set[int] = set()
        for name, child in self._children.items():
            if child is not None and id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[AnyModule]:
        """Immediate children."""
        for _, child in self.named_children():
            yield child

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, AnyModule]]:
        """This module and all below it, with their paths."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._children.items():
            if child is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from child.named_modules(memo, path, remove_duplicate)

    def modules(self) -> Iterator[AnyModule]:
        """This module and all below it."""
        for _, module in self.named_modules():
            yield module

    def get_submodule(self, target: str) -> AnyModule:
        """The module at a path such as "encoder.layers.0"."""
        module: AnyModule = self
        for part in target.split(".") if target else ():
            module = getattr(module, part, None)
            if not is_module(module):
                raise AttributeError(f"{type(self).__name__} has no submodule {target!r}")
        return module

    def apply(self: M, function: Callable[[AnyModule], None]) -> M:
        """Calls `function` on every module below and then on this one."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # --- parameters and buffers -----------------------------------------------------------

    def _named_tensors(
        self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        for path, module in modules if recurse else [(prefix, self)]:
            for name, value in getattr(module, kind).items():
                if value is None or (remove_duplicate and id(value) in seen):
                    continue
                seen.add(id(value))
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters with their paths; tied ones once."""
        return self._named_tensors("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Parameters; tied ones once."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """Buffers with their paths."""
        return self._named_tensors("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Any]:
        """Buffers."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_parameter(self, target: str) -> nn.Parameter:
        """The parameter at a path such as "encoder.weight"."""
        path, _, name = target.rpartition(".")
        value = getattr(self.get_submodule(path), name, None)
        if not isinstance(value, nn.Parameter):
            raise AttributeError(f"{type(self).__name__} has no parameter {target!r}")
        return value

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Sets requires_grad of every parameter."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of every parameter."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()

    # --- state ----------------------------------------------------------------------------

    def state_dict(
        self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters and persistent buffers by path, sharing their memory, as torch gives them."""
        state: dict[str, Any] = OrderedDict() if destination is None else destination
        for name, value in self._parameters.items():
            if value is not None:
                state[prefix + name] = value if keep_vars else value.detach()
        for name, value in self._buffers.items():
            if value is not None and name not in self._non_persistent:
                as_is = keep_vars or not isinstance(value, torch.Tensor)
                state[prefix + name] = value if as_is else value.detach()
        for name, child in self._children.items():
            if child is not None:
                child.state_dict(destination=state, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return state

    def load_state_dict(
        self, state_dict: dict[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Copies values into the parameters and buffers; missing and unexpected keys as in torch.

        The memory stays the same, hence a PyTorch model that shares it changes too.
        """
        if assign:
            raise NotYetSupportedError(
                "load_state_dict(assign=True) would cut the tie to the PyTorch model",
                remedy="leave assign out: values are copied into the shared tensors",
            )
        own = self.state_dict(keep_vars=True)
        missing = [key for key in own if key not in state_dict]
        unexpected = [key for key in state_dict if key not in own]
        problems: list[str] = []
        if strict and unexpected:
            names = ", ".join(f'"{key}"' for key in unexpected)
            problems.append(f"Unexpected key(s) in state_dict: {names}. ")
        if strict and missing:
            names = ", ".join(f'"{key}"' for key in missing)
            problems.append(f"Missing key(s) in state_dict: {names}. ")
        fitting: list[tuple[Any, Any]] = []
        for key, target in own.items():
            if key not in state_dict:
                continue
            source = state_dict[key]
            if isinstance(target, (torch.Tensor, Tensor)) and hasattr(source, "shape"):
                if tuple(source.shape) != tuple(target.shape):
                    problems.append(
                        f"size mismatch for {key}: copying a param with shape "
                        f"{tuple(source.shape)} from checkpoint, the shape in current model is "
                        f"{tuple(target.shape)}."
                    )
                    continue
                fitting.append((target, source))
            else:
                problems.append(f"{key} is no tensor in the state_dict")
        if problems:
            raise ArgumentError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                + "\n\t".join(problems)
            )
        with torch.no_grad():
            for target, source in fitting:
                _torch(target).copy_(_torch(source))
        return torch.nn.modules.module._IncompatibleKeys(missing, unexpected)

    def train(self: M, mode: bool = True) -> M:
        """Sets the mode of this module and all below it."""
        if not isinstance(mode, bool):
            raise ArgumentError("training mode is expected to be boolean")
        object.__setattr__(self, "training", mode)
        for child in self.children():
            child.train(mode)
        return self

    def eval(self: M) -> M:
        """Inference mode: train(False)."""
        return self.train(False)

    # --- devices and dtypes ---------------------------------------------------------------

    def to(self: M, *args: Any, **kwargs: Any) -> M:
        """Converts floating-point parameters and buffers to a dtype, as torch.nn.Module.to does.

        NotYetSupportedError for devices other than the CPU, and where a part of the tree is a
        converted PyTorch model, whose parameters are that model's.
        """
        device, dtype, _, _ = torch._C._nn._parse_to(*args, **kwargs)
        if device is not None and device.type != "cpu":
            raise NotYetSupportedError(
                f"to({device}): Tessera has no code for that device", remedy=_DEVICE_REMEDY
            )
        if dtype is None or all(
            item.dtype == dtype for item in self.parameters() if item.dtype.is_floating_point
        ):
            return self
        if any(hasattr(module, "_torch") for module in self.modules()):
            raise NotYetSupportedError(
                f"to({dtype}) would convert parameters that are shared with the PyTorch model",
                remedy=f"convert a PyTorch model that is already in {dtype}: "
                f"ts.from_pytorch(model.to({dtype}), …)",
            )
        self._convert(dtype, {})
        return self

    def _convert(self, dtype: torch.dtype, done: dict[int, Any]) -> None:
        """Replaces floating-point tensors by converted ones; what is tied stays so."""
        for registered in (self._parameters, self._buffers):
            for name, value in registered.items():
                if value is None or not value.dtype.is_floating_point:
                    continue
                if id(value) not in done:
                    converted = _torch(value).detach().to(dtype)
                    if isinstance(value, nn.Parameter):
                        converted = nn.Parameter(converted, value.requires_grad)
                    # The old one is kept, so that no other tensor gets its id meanwhile.
                    done[id(value)] = (value, converted)
                registered[name] = done[id(value)][1]
        for child in self.children():
            child._convert(dtype, done) if isinstance(child, Module) else child.to(dtype)

    def cpu(self: M) -> M:
        """The module itself."""
        return self

    def cuda(self: M, device: Any = None) -> M:
        """An error: there is no code for GPUs yet."""
        return self.to(torch.device("cuda", device) if device is not None else "cuda")

    def float(self: M) -> M:
        return self.to(torch.float32)

    def double(self: M) -> M:
        return self.to(torch.float64)

    def half(self: M) -> M:
        return self.to(torch.float16)

    def bfloat16(self: M) -> M:
        return self.to(torch.bfloat16)

    def register_forward_hook(self, *_: Any, **__: Any) -> None:
        """An error: hooks belong on the PyTorch model, before it is converted."""
        raise NotYetSupportedError(
            "hooks on Tessera modules are not supported",
            remedy="register the hook on the PyTorch module before converting, or override "
            "forward() in a ts.Module",
        )

    register_forward_pre_hook = register_forward_hook

    # --- printing -------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in the parentheses of repr()."""
        return ""

    def _label(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        lines = [
            f"({name}): " + repr(child).replace("\n", "\n  ")
            for name, child in self._children.items()
        ]
        extra = self.extra_repr()
        if not lines:
            return f"{self._label()}({extra})"
        head = f"{self._label()}("
        if extra:
            lines.insert(0, extra)
        return "\n  ".join([head, *lines]) + "\n)"


def _torch(value: Any) -> torch.Tensor:
    return torch.from_dlpack(value) if isinstance(value, Tensor) else value
