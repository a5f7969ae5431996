# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``ts.Tensor``: memory with a shape, exchanged with PyTorch and NumPy without copies.

The class is the extension's; what needs ``ts.ops`` or PyTorch is added to it here, so that a
tensor coming out of a program is a ``ts.Tensor`` without being wrapped again.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
from typing import Any

import torch
from torch.utils import _pytree as pytree

from tessera import _core
from tessera._operators import OPERATOR_OF, install_operators
from tessera.errors import ArgumentError, ArgumentTypeError
from tessera.lowering.context import GraphValue
from tessera.lowering.dtypes import dtype_from_name, is_supported

Tensor = _core.Tensor


def is_tensor(value: Any) -> bool:
    """Whether `value` is a torch.Tensor or a ts.Tensor."""
    return isinstance(value, (torch.Tensor, Tensor))


def torch_dtype(value: Any) -> torch.dtype:
    """The torch dtype of a tensor of either kind."""
    return dtype_from_name(value.dtype) if isinstance(value, Tensor) else value.dtype


def from_dlpack(source: Any) -> Tensor:
    """A tensor over the memory of `source`: a DLPack capsule or any object with ``__dlpack__``.

    Nothing is copied, except for PyTorch's negated views. A capsule can be used once.
    """
    if isinstance(source, torch.Tensor):
        return from_torch(source)
    return _core.from_dlpack(source)


def from_torch(source: torch.Tensor) -> Tensor:
    """A tensor over the memory of a torch tensor. Conjugate and negated views are resolved."""
    if source.requires_grad:
        raise ArgumentError(
            "from_dlpack: the tensor requires grad, and writes to the shared memory would be "
            "hidden from autograd",
            remedy="pass tensor.detach()",
        )
    if source.device.type != "cpu":
        raise ArgumentError(
            f"from_dlpack: the tensor is on {source.device}; this version works on the CPU",
            remedy='pass tensor.to("cpu")',
        )
    if source.layout != torch.strided:
        raise ArgumentError(
            f"from_dlpack: the tensor's layout is {source.layout}; dense memory is needed",
            remedy="pass tensor.to_dense()",
        )
    if not is_supported(source.dtype):
        raise ArgumentTypeError(
            f"from_dlpack: {source.dtype} is not an element type Tessera has",
            remedy="convert to a real floating-point, integer or bool dtype first",
        )
    return _core.from_dlpack(source.resolve_neg() if source.is_neg() else source)


def to_dlpack(value: Tensor) -> Any:
    """A DLPack capsule over the memory of `value`, to be used once."""
    if isinstance(value, torch.Tensor):
        value = from_torch(value)
    if isinstance(value, GraphValue):
        value.numpy()  # says that there is no memory yet
    if not isinstance(value, Tensor):
        raise ArgumentTypeError(
            f"to_dlpack takes a ts.Tensor, not {type(value).__name__}",
            remedy="make one with ts.from_dlpack or ts.tensor",
        )
    return _core.to_dlpack(value)


def from_numpy(array: Any) -> Tensor:
    """A tensor over the memory of a NumPy array."""
    return _core.from_dlpack(array)


def tensor(data: Any, dtype: torch.dtype | None = None) -> Tensor:
    """A new tensor from numbers, nested sequences or another tensor; always a copy."""
    if isinstance(data, Tensor):
        data = torch.from_dlpack(data)
    if isinstance(data, torch.Tensor):
        copied = data.detach().resolve_conj().resolve_neg().to(dtype or data.dtype, copy=True)
        return from_torch(copied.contiguous())
    return from_torch(torch.tensor(data, dtype=dtype))


def to_torch(value: Tensor) -> torch.Tensor:
    """The torch tensor over the same memory."""
    return torch.from_dlpack(value)


# --- what the class gets ----------------------------------------------------------------------

_core_class: Any = Tensor
_name_of_dtype = _core_class.dtype.fget


def _dtype(self: Tensor) -> torch.dtype:
    return dtype_from_name(_name_of_dtype(self))


def _repr(self: Tensor) -> str:
    text = repr(torch.from_dlpack(self)).replace("tensor(", "ts.Tensor(", 1)
    suffix = "" if "dtype=" in text else f", dtype={_dtype(self)}"
    # Continuation lines are indented by the length of the name.
    return text.replace("\n       ", "\n          ")[:-1] + suffix + ")"


def _getitem(self: Tensor, index: Any) -> Tensor:
    indices = index if isinstance(index, tuple) else (index,)
    resolved = tuple(torch.from_dlpack(i) if isinstance(i, Tensor) else i for i in indices)
    return from_torch(torch.from_dlpack(self)[resolved])


def _setitem(self: Tensor, index: Any, value: Any) -> None:
    if self.readonly:
        raise ArgumentError("the tensor is read-only", remedy="write to ts.tensor(t), a copy")
    source = torch.from_dlpack(value) if isinstance(value, Tensor) else value
    torch.from_dlpack(self)[index] = source


def _getattr(self: Tensor, name: str) -> Any:
    # Methods are the functions of ts.ops: t.relu(), t.sum(0), t.reshape(2, -1).
    if not name.startswith("_"):
        function = getattr(importlib.import_module("tessera.ops"), name, None)
        if callable(function):
            return functools.partial(function, self)
    raise AttributeError(f"ts.Tensor has no attribute {name!r}")


def _reduce(self: Tensor) -> tuple[Any, ...]:
    # Through bytes: every dtype, and no class that only PyTorch could load.
    dense = torch.from_dlpack(self).contiguous()
    size = dense.numel() * dense.element_size()
    raw = ctypes.string_at(dense.data_ptr(), size) if size else b""
    return _rebuild, (raw, str(_dtype(self)), tuple(self.shape))


def _rebuild(raw: bytes, dtype: str, shape: tuple[int, ...]) -> Tensor:
    if not raw:
        return from_torch(torch.empty(shape, dtype=dtype_from_name(dtype)))
    flat = torch.frombuffer(bytearray(raw), dtype=dtype_from_name(dtype))
    return from_torch(flat.reshape(shape))


def _deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    copied = tensor(self)
    memo[id(self)] = copied
    return copied


def _torch_function(
    cls: type, function: Any, types: Any, args: Any = (), kwargs: Any = None
) -> Any:
    """A function of PyTorch's on ts.Tensor: PyTorch computes, on the same memory; operators of
    Python are those of ts.ops."""
    if not all(issubclass(kind, (torch.Tensor, Tensor)) for kind in types):
        return NotImplemented  # of another kind, which knows better
    name = getattr(function, "__name__", str(function))
    operator = OPERATOR_OF.get(name)
    if operator is not None and len(args) == 2 and not kwargs:
        # An operator computes the same with either kind on its left.
        return getattr(importlib.import_module("tessera.ops"), operator)(*args)
    ours: dict[int, tuple[torch.Tensor, Tensor]] = {}

    def as_torch(value: Tensor) -> torch.Tensor:
        made = torch.from_dlpack(value)
        ours[id(made)] = made, value
        return made

    kwargs = kwargs or {}
    written = [kwargs.get("out"), *args[: name.endswith("_") and not name.endswith("__")]]
    if any(isinstance(value, Tensor) and value.readonly for value in written):
        raise ArgumentError(
            f"{name}: the tensor it would write to is read-only",
            remedy="write to ts.tensor(t), a copy",
        )
    given = pytree.tree_map_only(Tensor, as_torch, (args, kwargs))
    theirs = {id(leaf) for leaf in pytree.tree_leaves(given)} - ours.keys()

    def as_ours(value: torch.Tensor) -> Any:
        if id(value) in ours:  # what was written into
            return ours[id(value)][1]
        if value.requires_grad and id(value) not in theirs:
            raise ArgumentError(
                f"{name}: an argument requires grad, and no gradients go through ts.Tensor",
                remedy="call under torch.no_grad(), or pass torch tensors only",
            )
        dense = value.layout == torch.strided and value.device.type == "cpu"
        keeps = id(value) in theirs or not dense or not is_supported(value.dtype)
        return value if keeps else from_torch(value)

    return pytree.tree_map_only(torch.Tensor, as_ours, function(*given[0], **given[1]))


def _stride(self: Tensor, dim: int | None = None) -> Any:
    """The strides in elements, or that of one dimension."""
    return self.strides if dim is None else self.strides[dim]


def _install() -> None:
    install_operators(Tensor)
    cls: Any = Tensor
    cls.dtype = property(_dtype, doc="The element type, as a torch.dtype.")
    cls.device = property(lambda self: torch.device("cpu"), doc="Where the memory is.")
    cls.T = property(lambda self: from_torch(torch.from_dlpack(self).T))
    cls.mT = property(lambda self: from_torch(torch.from_dlpack(self).mT))
    cls.torch = to_torch
    cls.clone = lambda self: tensor(self)
    cls.stride = _stride
    cls.__repr__ = _repr
    cls.__getitem__ = _getitem
    cls.__setitem__ = _setitem
    cls.__getattr__ = _getattr
    cls.__torch_function__ = classmethod(_torch_function)
    cls.__reduce__ = _reduce
    cls.__deepcopy__ = _deepcopy
    cls.__module__ = "tessera"


_install()
