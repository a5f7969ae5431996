# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Functions of PyTorch that look at data on their way, written so that a capture can follow.

Mostly their results' shapes do not depend on what they look at: a check of an argument, an index in
a tensor, a divisor that must not be negative. Where they do (one_hot, tensor_split) the number is
read by item(), which gives it a symbol. Where PyTorch raises an error for the values of an
argument, the result is NaN instead. What an index in a tensor chooses is a copy, where it is a
view in PyTorch; `require_unseen_copies` refuses programs in which that makes a difference.
"""

from __future__ import annotations

import itertools
import math
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.nn import functional
from torch.nn.modules import transformer
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from tessera.capture import named, solvers
from tessera.capture.inspected import require_not_inspected
from tessera.capture.provenance import innermost_user_frame
from tessera.capture.scalars import number_operator
from tessera.errors import CaptureError

#: PyTorch's function: what stands in for it, which gives NotImplemented where it cannot.
_STAND_INS: dict[Any, Callable[..., Any]] = dict(named.STAND_INS)


class Traceable(TorchFunctionMode):
    """While it is entered, the functions of this file stand in for PyTorch's.

    One of them is no function of PyTorch's interface: transformers compare a mask with the causal
    one, only to hint at it. Whoever else looks in the meantime gets no hint, and the same numbers.
    """

    def __enter__(self) -> Any:
        self._detect = transformer._detect_is_causal_mask
        transformer._detect_is_causal_mask = _is_said_to_be_causal
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *raised: Any) -> None:
        transformer._detect_is_causal_mask = self._detect
        super().__exit__(*raised)  # type: ignore[no-untyped-call]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        stand_in = _STAND_INS.get(func) or number_operator(func, args)
        if stand_in is not None:
            result = stand_in(*args, **kwargs)
            if result is not NotImplemented:
                return result
        return func(*args, **kwargs)


def _is_said_to_be_causal(
    mask: Tensor | None, is_causal: bool | None = None, size: int | None = None
) -> bool:
    return is_causal is True


def _stands_in(
    *functions: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(stand_in: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            _STAND_INS[function] = stand_in
        return stand_in

    return decorate


_stands_in(torch.linalg.lstsq)(solvers.lstsq)
_stands_in(functional.ctc_loss)(solvers.ctc_loss)

# --- statistics ------------------------------------------------------------------------------


@_stands_in(torch.cov, Tensor.cov)
def _cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Any:
    if input.ndim > 2 or input.is_complex():
        return NotImplemented
    x = input.reshape(1, -1) if input.ndim < 2 else input
    count = x.shape[1]
    given = [item for item in (fweights, aweights) if item is not None]
    if any(item.ndim > 1 or item.numel() != count for item in given):
        return NotImplemented
    if not given:
        centered = x - x.sum(1, keepdim=True) / count
        products = torch.mm(centered, centered.t())
        return torch.true_divide(products, max(count - correction, 0)).squeeze()
    weights = given[0] if len(given) == 1 else given[0] * given[1]
    total = weights.sum()
    valid = total != 0
    for item in given:
        valid = valid & (item >= 0).all()
    free = total - correction
    if aweights is not None and correction != 0:
        free = total - correction * (weights * aweights).sum() / total
    free = torch.where(valid, free.clamp(min=0), math.nan)
    centered = x - (x * weights).sum(1, keepdim=True) / total
    products = torch.mm(centered, (centered * weights).t())
    return torch.true_divide(products, free).squeeze()


@_stands_in(torch.corrcoef, Tensor.corrcoef)
def _corrcoef(input: Tensor) -> Any:
    covariance = _cov(input)
    if covariance is NotImplemented or not covariance.ndim:
        return NotImplemented if covariance is NotImplemented else covariance / covariance
    deviation = covariance.diag().sqrt()
    return ((covariance / deviation[:, None]) / deviation[None, :]).clamp(-1, 1)


@_stands_in(torch.combinations)
def _combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Any:
    # Which elements are combined is known by their number.
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    if input.ndim != 1 or not r > 0 or math.comb(input.shape[0] + r, r) > 1 << 16:
        return NotImplemented
    chosen = list(choose(range(input.shape[0]), r))
    if not chosen:
        return input.new_empty((0, r))
    columns = [input[torch.tensor(column)] for column in zip(*chosen, strict=True)]
    return torch.stack(columns, 1)


@_stands_in(torch.masked_select, Tensor.masked_select)
def _masked_select(input: Tensor, mask: Tensor) -> Any:
    # torch.export takes the first operand's size for all there is to select from.
    if input.shape == mask.shape:
        return NotImplemented
    return torch.masked_select(*torch.broadcast_tensors(input, mask))


@_stands_in(functional.one_hot)
def _one_hot(tensor: Tensor, num_classes: int = -1) -> Any:
    if num_classes != -1 or not tensor.numel() or tensor.dtype != torch.int64:
        return NotImplemented
    # The one size here that follows from data; PyTorch's complaints where the checks fail.
    torch._check(tensor.min().item() >= 0)
    count = tensor.max().item() + 1
    torch._check(count >= 1)
    return (tensor.unsqueeze(-1) == torch.arange(count)).to(torch.int64)


@_stands_in(torch.tensor_split, Tensor.tensor_split)
def _tensor_split(input: Tensor, tensor_indices_or_sections: Any, dim: int = 0) -> Any:
    if not isinstance(tensor_indices_or_sections, Tensor):
        return NotImplemented
    return torch.tensor_split(input, tensor_indices_or_sections.tolist(), dim)


# --- what looks at a tensor from outside -------------------------------------------------------


@_stands_in(Tensor.data.__get__)  # type: ignore[attr-defined]
def _data(input: Tensor) -> Tensor:
    # torch.export takes what .data gives for a constant.
    return input.detach()


@_stands_in(Tensor.data.__set__)  # type: ignore[attr-defined]
def _set_data(input: Tensor, value: Tensor) -> None:
    # torch.export keeps neither the write nor what is read afterwards.
    raise CaptureError(
        "forward() puts other memory behind a tensor (x.data = y)",
        remedy="write into it: x.copy_(y)",
    )


# --- losses ----------------------------------------------------------------------------------


@_stands_in(functional.gaussian_nll_loss)
def _gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    if not isinstance(var, Tensor) or reduction not in ("none", "mean", "sum"):
        return NotImplemented
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif (
            input.ndim != var.ndim
            or sum(of for size, of in zip(input.shape, var.shape, strict=True) if size != of) != 1
        ):
            return NotImplemented
    var = torch.where((var < 0).any(), math.nan, var).clamp(min=eps)
    loss = 0.5 * (torch.log(var) + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


@_stands_in(functional.linear_cross_entropy)
def _linear_cross_entropy(
    input: Tensor, linear_weight: Tensor, target: Tensor, *, options: Any = None, **given: Any
) -> Any:
    # Options say in which chunks an operator of its own saves memory.
    if options is None:
        return NotImplemented
    return functional.linear_cross_entropy(input, linear_weight, target, **given)


@_stands_in(functional.multilabel_margin_loss)
def _multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    # torch.export foretells another shape for the loss of one sample than PyTorch gives.
    if input.ndim > 1 or reduction != "none" or size_average is not None or reduce is not None:
        return NotImplemented
    batch = input.reshape(1, -1), target.reshape(1, -1)
    return functional.multilabel_margin_loss(*batch, reduction="none").squeeze(0)


# --- comparisons that give a bool ------------------------------------------------------------


@_stands_in(torch.equal, Tensor.equal)
def _equal(input: Tensor, other: Tensor) -> Any:
    if input.dtype != other.dtype or input.is_complex():
        return NotImplemented
    if input.shape != other.shape:
        return False
    return (input == other).all().item()


@_stands_in(torch.allclose, Tensor.allclose)
def _allclose(
    input: Tensor,
    other: Tensor,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Any:
    return torch.isclose(input, other, rtol, atol, equal_nan).all().item()


# --- places that are tensors -----------------------------------------------------------------

#: What gives a copy where PyTorch gives a view; nothing else in a capture calls it.
_COPY = torch.ops.aten._unsafe_index.Tensor


@_stands_in(torch.narrow, Tensor.narrow)
def _narrow(input: Tensor, dim: int, start: int | Tensor, length: int) -> Any:
    if not isinstance(start, Tensor) or not input.ndim or not isinstance(length, int):
        return NotImplemented
    size = input.shape[dim]
    first = torch.where(start < 0, start + size, start)
    # Beyond the end is an error, not less than `length`.
    places = first.reshape(1) + torch.arange(length)
    return _COPY(input, [None] * (dim % input.ndim) + [places])


def _is_place(index: Any) -> bool:
    """Whether torch takes the index for a number, which it would read from the tensor."""
    return (
        isinstance(index, Tensor)
        and not index.ndim
        and index.dtype in (torch.int8, torch.int16, torch.int32, torch.int64)
    )


def _as_places(input: Tensor, index: Any) -> tuple[Tensor, list[Tensor | None]] | None:
    """A view by all that is no tensor, and the places to read or write in its dimensions.

    None where the index holds no tensor without dimensions, or other tensors beside them.
    """
    items = index if isinstance(index, tuple) else (index,)
    if not any(_is_place(item) for item in items):
        return None
    plain = (int, slice, type(None), type(...))
    if any(not isinstance(item, plain) and not _is_place(item) for item in items):
        return None
    view = input[tuple(slice(None) if _is_place(item) else item for item in items)]
    taken = sum(item is not None and item is not ... for item in items)
    places: list[Tensor | None] = []
    for item in items:
        if item is ...:
            places += [None] * (input.ndim - taken)
        elif _is_place(item):
            places.append(item)
        elif not isinstance(item, int):
            places.append(None)
    return view, places


@_stands_in(Tensor.__getitem__)
def _getitem(input: Tensor, index: Any) -> Any:
    found = _as_places(input, index)
    return NotImplemented if found is None else _COPY(*found)


@_stands_in(Tensor.__setitem__)
def _setitem(input: Tensor, index: Any, value: Any) -> Any:
    found = _as_places(input, index)
    if found is None:
        return NotImplemented
    view, places = found
    if not isinstance(value, Tensor):
        value = torch.full((), value, dtype=input.dtype)
    torch.ops.aten.index_put_(view, places, value.to(input.dtype))
    return None


def require_unseen_copies(program: ExportedProgram) -> None:
    """CaptureError where it shows that a copy is no view: somebody writes to it without putting it
    back, or to what it is of before its last use."""
    nodes = {node: place for place, node in enumerate(program.graph.nodes)}
    copies = [node for node in nodes if node.target is _COPY]
    for node in nodes if copies else ():
        for written in _written(node):
            for copy in copies:
                if nodes[node] < nodes[copy]:
                    continue
                used = max(
                    (nodes[user] for part in nodes if _base(part) is copy for user in part.users),
                    default=0,
                )
                stale = written is _base(copy.args[0]) and nodes[node] < used
                if stale or (written is copy and not _is_put_back(node, copy)):
                    file, line = innermost_user_frame(node.meta.get("stack_trace") or "")
                    raise CaptureError(
                        f"{file}:{line} writes to a part that an index in a tensor chose",
                        remedy="write x[i] = value, with the index on the left",
                    )


def _base(value: Any) -> Any:
    """Whose memory a node's result is in."""
    while isinstance(value, fx.Node) and value.op == "call_function" and value.args:
        schema = getattr(value.target, "_schema", None)
        if schema is not None and not any(item.alias_info for item in schema.returns):
            break
        value = value.args[0]
    return value


def _written(node: fx.Node) -> list[Any]:
    """The tensors whose memory a node writes to."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or not schema.is_mutable:
        return []
    return [
        _base(given)
        for given, argument in zip(node.args, schema.arguments, strict=False)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]


def _is_put_back(write: fx.Node, copy: fx.Node) -> bool:
    """Whether what `write` made of the copy goes where that is from before anything is read: what
    Python does of `x[i] += 1`."""
    node = write.next
    while node.op == "call_function":
        if node.target is torch.ops.aten.index_put_.default:
            view, places, value = node.args[:3]
            return _base(value) is copy and _same_part((view, places), copy.args)
        schema = getattr(node.target, "_schema", None)
        reads = _base(node) is node and (schema is None or bool(schema.returns))
        if reads or (_written(node) and _base(node) is not copy):
            return False
        node = node.next
    return False


def _same_part(left: Any, right: Any) -> bool:
    """Whether two nodes, or what else an argument may be, are the same steps from one tensor."""
    if isinstance(left, fx.Node) and isinstance(right, fx.Node):
        if left is right or left.op != "call_function" or left.target is not right.target:
            return left is right
        return _same_part(left.args, right.args)
    if isinstance(left, (tuple, list)) and isinstance(right, (tuple, list)):
        pairs = zip(left, right, strict=False)
        return len(left) == len(right) and all(_same_part(a, b) for a, b in pairs)
    return not isinstance(left, fx.Node) and bool(left == right)


# --- numbers ---------------------------------------------------------------------------------


@_stands_in(Tensor.item)
def _item(input: Tensor) -> Any:
    require_not_inspected()
    return NotImplemented


# --- by the names of ATen --------------------------------------------------------------------


def _names_of_aten() -> None:
    """What is an operator with the same arguments as well is called as that too."""
    for function, name in [
        (torch.allclose, "allclose"),
        (torch.combinations, "combinations"),
        (torch.corrcoef, "corrcoef"),
        (torch.cov, "cov"),
        (torch.equal, "equal"),
        (functional.one_hot, "one_hot"),
        (torch.masked_select, "masked_select"),
        (torch.narrow, "narrow"),
        (torch.tensor_split, "tensor_split"),
    ]:
        packet = getattr(torch.ops.aten, name)
        overloads = [getattr(packet, item) for item in packet.overloads() if "out" not in item]
        _stands_in(packet, *overloads)(_STAND_INS[function])


@_stands_in(
    torch._shape_as_tensor,
    torch.ops.aten._shape_as_tensor,
    torch.ops.aten._shape_as_tensor.default,
)
def _shape_as_tensor(input: Tensor) -> Tensor:
    return torch.tensor(list(input.shape), dtype=torch.int64)


_names_of_aten()

# --- modules ---------------------------------------------------------------------------------


def make_traceable(root: nn.Module) -> None:
    """Gives modules of a (copied) tree a forward that a capture can follow, where theirs reads
    numbers out of their buffers."""
    for module in root.modules():
        if (
            isinstance(module, _BatchNorm)
            and type(module).forward is _BatchNorm.forward
            and module.momentum is None
            and module.training
            and module.track_running_stats
        ):
            module.__dict__["forward"] = types.MethodType(_averaging_batch_norm, module)


def _averaging_batch_norm(module: Any, input: Tensor) -> Tensor:
    """Batch normalization whose running statistics are the mean over all batches so far."""
    module._check_input_dim(input)
    module.num_batches_tracked.add_(1)
    share = 1.0 / module.num_batches_tracked
    dims = [dim for dim in range(input.ndim) if dim != 1]
    variance, mean = torch.var_mean(input.to(module.running_mean.dtype), dims)
    for running, found in ((module.running_mean, mean), (module.running_var, variance)):
        running.copy_(running * (1.0 - share) + found * share)
    return functional.batch_norm(
        input, None, None, module.weight, module.bias, True, 0.0, module.eps
    )
