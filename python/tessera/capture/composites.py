# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Operators that PyTorch has no decomposition for, in terms of other operators.

Plain PyTorch over ATen. Most are gradients, which come up where a training graph was captured or
where somebody calls them by name; those of `torch._foreach_*` are those operators, one tensor at a
time.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

_aten = torch.ops.aten
Composite = Callable[..., Any]


def composite_of(op: torch._ops.OpOverload) -> Composite | None:
    """What computes `op`; None where nothing here does."""
    name = op._schema.name.removeprefix("aten::")
    if name.startswith("_foreach_") and not op._schema.is_mutable:
        return _foreach(op, name.removeprefix("_foreach_"))
    if op.namespace == "prims":
        # Each has what it is in ATen's operators. (One has a result that is foretold wrongly.)
        if name == "prims::signbit":
            return None
        found: Composite | None = getattr(op, "impl_aten", None)
        return found
    if op.namespace == "quantized_decomposed":
        return _of_quantized_decomposed(op, name)
    return COMPOSITES.get(op)


def _of_quantized_decomposed(op: torch._ops.OpOverload, name: str) -> Composite | None:
    """The Python function behind an operator of torch.ao's, which exists once that is imported."""
    module = sys.modules.get("torch.ao.quantization.fx._decomposed")
    bare = name.removeprefix("quantized_decomposed::")
    overload = "" if op._overloadname == "default" else f"_{op._overloadname}"
    return getattr(module, f"{bare}{overload}", None)


# --- lists of tensors ------------------------------------------------------------------------

#: Those that are not the operator of the same name.
_FOREACH: dict[str, Composite] = {
    "addcdiv": lambda self, tensor1, tensor2, value=1: torch.addcdiv(
        self, tensor1, tensor2, value=value
    ),
    "addcmul": lambda self, tensor1, tensor2, value=1: torch.addcmul(
        self, tensor1, tensor2, value=value
    ),
    "copy": lambda self, src, non_blocking=False: src.to(self.dtype).expand(self.shape).clone(),
    "norm": lambda self, ord=2, dtype=None: torch.linalg.vector_norm(self, ord, dtype=dtype),
    "zero": torch.zeros_like,
}


def _foreach(op: torch._ops.OpOverload, name: str) -> Composite | None:
    each = _FOREACH.get(name) or getattr(_aten, name, None)
    if each is None or len(op._schema.returns) != 1:
        return None
    #: The arguments that have a value for each tensor; others are everybody's.
    several = [
        argument.name
        for argument in op._schema.arguments
        if str(argument.type) in ("List[Tensor]", "List[number]")
    ]

    def run(*args: Any, **kwargs: Any) -> list[Tensor]:
        given = dict(zip((item.name for item in op._schema.arguments), args, strict=False))
        given |= kwargs
        lists = [given[item] for item in several if item in given]
        # By position: a list's name is not always that of its tensors' argument.
        rest = {key: value for key, value in given.items() if key not in several}
        shared = [rest.pop(item.name) for item in op._schema.arguments if _is_operand(item, rest)]
        if name == "pow" and several[0] == "exponent":  # a number to the power of each
            return [each(*shared, item, **rest) for item in lists[0]]
        return [each(*items, *shared, **rest) for items in zip(*lists, strict=True)]

    return run


def _is_operand(argument: Any, given: dict[str, Any]) -> bool:
    return argument.name in given and not argument.kwarg_only and argument.name != "alpha"


# --- gradients of activations and losses -----------------------------------------------------


def _shrink_backward(grad: Tensor, self: Tensor, lambd: float) -> Tensor:
    # Not by the absolute value: NaN is no small one.
    return torch.where((self >= -lambd) & (self <= lambd), 0, grad)


def _share(self: Tensor, reduction: int) -> float:
    """What one term of a margin loss counts for: its rows are means already."""
    rows = self.shape[0] if self.ndim == 2 and reduction == 1 else 1
    return 1 / max(rows * (self.shape[-1] if self.ndim else 1), 1)


def _of_rows(grad: Tensor, self: Tensor, result: Tensor) -> Tensor:
    grad = grad.reshape(-1, 1) if grad.ndim else grad
    return (result * grad).reshape(self.shape).to(self.dtype)


def _multi_margin_loss_backward(
    grad_output: Tensor,
    self: Tensor,
    target: Tensor,
    p: float,
    margin: float,
    weight: Tensor | None = None,
    reduction: int = 1,
) -> Tensor:
    rows = self.reshape(-1, self.shape[-1] if self.ndim else 1)
    label = target.reshape(-1, 1)
    distance = margin - rows.gather(1, label) + rows
    slope = torch.ones_like(rows) if p == 1 else 2 * distance
    if weight is not None:
        slope = slope * weight[label]
    own = torch.arange(rows.shape[1]) == label
    slope = torch.where((distance > 0) & ~own, slope * _share(self, reduction), 0)
    result = torch.where(own, -slope.sum(1, keepdim=True), slope)
    return _of_rows(grad_output, self, result)


def _multilabel_margin_loss_backward(
    grad_output: Tensor, self: Tensor, target: Tensor, reduction: int, is_target: Tensor
) -> Tensor:
    width = self.shape[-1] if self.ndim else 1
    rows, labels = self.reshape(-1, width), target.reshape(-1, width)
    others = is_target.reshape(-1, width) == 0
    # A negative label ends the list.
    valid = (labels >= 0).to(torch.int64).cumprod(1) > 0
    label = labels.clamp(min=0)
    distance = 1 - rows.gather(1, label).unsqueeze(2) + rows.unsqueeze(1)
    counted = (distance > 0) & valid.unsqueeze(2) & others.unsqueeze(1)
    result = counted.sum(1).to(rows.dtype)
    result = result.scatter_add(1, label, -counted.sum(2).to(rows.dtype))
    return _of_rows(grad_output, self, result * _share(self, reduction))


def _masked_scatter_backward(grad_output: Tensor, mask: Tensor, sizes: Sequence[int]) -> Tensor:
    count = math.prod(sizes)
    places = torch.nonzero_static(
        mask.expand(grad_output.shape).reshape(-1), size=count, fill_value=-1
    ).reshape(-1)
    if grad_output.numel() == 0:
        return grad_output.new_zeros(sizes)
    values = grad_output.reshape(-1).index_select(0, places.clamp(min=0))
    return torch.where(places >= 0, values, 0).reshape(sizes)


# --- gradients of pooling --------------------------------------------------------------------


def _unpool(dims: int) -> Composite:
    def run(
        grad_output: Tensor, self: Tensor, kernel_size: Any, output_size: Any, indices: Tensor
    ) -> Tensor:
        planes = self.shape[:-dims]
        flat = self.new_zeros((*planes, math.prod(self.shape[-dims:])))
        grad, places = grad_output.flatten(-dims), indices.flatten(-dims)
        return flat.scatter_add(-1, places, grad).reshape(self.shape)

    return run


# --- gradients of distances ------------------------------------------------------------------


def _distance_slopes(grad: Tensor, difference: Tensor, distance: Tensor, p: float) -> Tensor:
    """By what each difference of coordinates changes `distance`, the p-norm of all, times grad."""
    if p == 0:
        return torch.zeros_like(difference) * grad
    if p == 1:
        return grad * difference.sign()
    if p == math.inf:
        off = (difference.abs() - distance).abs().ceil().clamp(max=1)
        return grad * difference.sign() * (1 - off)
    if p == 2:
        slope = grad * difference / distance
    elif p < 2:
        slope = difference.sign() * difference.abs() ** (p - 1) * grad / distance ** (p - 1)
        if p < 1:
            slope = torch.where(difference == 0, 0, slope)
    else:
        slope = difference * difference.abs() ** (p - 2) * grad / distance ** (p - 1)
    return torch.where(distance == 0, 0, slope)


def _cdist_backward(grad: Tensor, x1: Tensor, x2: Tensor, p: float, cdist: Tensor) -> Tensor:
    batch = torch.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    if 0 in (*batch, x1.shape[-2], x2.shape[-2], x1.shape[-1]):
        return torch.zeros_like(x1)
    difference = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    slopes = _distance_slopes(grad.unsqueeze(-1), difference, cdist.unsqueeze(-1), p)
    return slopes.sum(-2)


def _pdist_backward(grad: Tensor, self: Tensor, p: float, pdist: Tensor) -> Tensor:
    rows, columns = torch.triu_indices(self.shape[0], self.shape[0], 1).unbind(0)
    difference = self.index_select(0, rows) - self.index_select(0, columns)
    slopes = _distance_slopes(grad.unsqueeze(-1), difference, pdist.unsqueeze(-1), p)
    result = torch.zeros_like(self).index_add(0, rows, slopes)
    return result.index_add(0, columns, -slopes)


# --- gradients of attention ------------------------------------------------------------------


def _attention_backward(
    grad_out: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    logsumexp: Tensor,
    dropout_p: float,
    is_causal: bool,
    *,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    if dropout_p:
        return NotImplemented  # type: ignore[no-any-return]
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    wide = torch.float32 if query.dtype in (torch.float16, torch.bfloat16) else query.dtype
    q, k, v, o, g = (item.to(wide) for item in (query, key, value, out, grad_out))
    scores = q @ k.mT * scale
    if attn_mask is not None:
        scores = scores + attn_mask
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = torch.where(seen, scores, -math.inf)
    weights = (scores - logsumexp.unsqueeze(-1).to(wide)).exp()
    slopes = weights * (g @ v.mT - (g * o).sum(-1, keepdim=True)) * scale
    results = (slopes @ k, slopes.mT @ q, weights.mT @ g)
    return tuple(item.to(query.dtype) for item in results)  # type: ignore[return-value]


# --- convolutions of old -----------------------------------------------------------------------


def _convolution(
    self: Tensor,
    weight: Tensor,
    kernel_size: Any,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
) -> Tensor:
    dims = weight.ndim - 2
    batched = self.ndim == dims + 2

    def each(value: Any) -> list[int]:
        values = [value] if isinstance(value, int) else list(value)
        return values * dims if len(values) == 1 else values

    result: Tensor = _aten.convolution(
        self if batched else self.unsqueeze(0),
        *(weight, bias, each(stride), each(padding), each(dilation), False, [0] * dims, 1),
    )
    return result if batched else result.squeeze(0)


# --- the rest --------------------------------------------------------------------------------


def _zeros(size: Sequence[int], **options: Any) -> Tensor:
    return torch.zeros(size, **options)


def _masked_softmax(
    self: Tensor, mask: Tensor, dim: int | None = None, mask_type: int | None = None
) -> Tensor:
    if mask.shape != self.shape:
        return NotImplemented  # type: ignore[no-any-return]
    # What is masked counts for nothing, where all is too.
    hidden = mask.to(torch.bool)
    result = torch.where(hidden, -math.inf, self).softmax(-1 if dim is None else dim)
    return torch.where(hidden, 0, result)


def _rescale_qkv(qkv: Tensor, qkv_bias: Tensor, num_heads: int) -> tuple[Tensor, ...]:
    batch, length, width = qkv.shape
    size = width // 3 // num_heads
    parts = (qkv + qkv_bias).reshape(batch, length, 3, num_heads, size).permute(2, 0, 3, 1, 4)
    query, key, value = (item.contiguous() for item in parts.unbind(0))
    return query / math.sqrt(size), key, value


COMPOSITES: dict[Any, Composite] = {
    _aten._add_relu.Scalar: lambda self, other, alpha=1: torch.add(self, other, alpha=alpha).relu(),
    _aten._add_relu.Tensor: lambda self, other, *, alpha=1: torch.add(
        self, other, alpha=alpha
    ).relu(),
    _aten._aminmax.default: lambda self: tuple(torch.aminmax(self)),
    _aten._aminmax.dim: lambda self, dim, keepdim=False: tuple(
        torch.aminmax(self, dim=dim, keepdim=keepdim)
    ),
    _aten._cdist_backward.default: _cdist_backward,
    _aten._cholesky_solve_helper.default: torch.cholesky_solve,
    _aten._conj_physical.default: torch.conj_physical,
    _aten._efficientzerotensor.default: _zeros,
    _aten._index_put_impl.default: lambda self, indices, values, accumulate=False, unsafe=False: (
        torch.index_put(self, indices, values, accumulate)
    ),
    _aten._logcumsumexp.default: torch.logcumsumexp,
    _aten._masked_softmax.default: _masked_softmax,
    _aten._neg_view.default: torch.neg,
    _aten._pdist_backward.default: _pdist_backward,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward.default: _attention_backward,
    _aten._slow_conv2d_forward.default: _convolution,
    _aten._stack.default: torch.stack,
    _aten._transform_bias_rescale_qkv.default: _rescale_qkv,
    _aten.fractional_max_pool2d_backward.default: _unpool(2),
    _aten.fractional_max_pool3d_backward.default: _unpool(3),
    _aten.hardshrink_backward.default: _shrink_backward,
    _aten.masked_scatter_backward.default: _masked_scatter_backward,
    _aten.multi_margin_loss_backward.default: _multi_margin_loss_backward,
    _aten.multilabel_margin_loss_backward.default: _multilabel_margin_loss_backward,
    _aten.slow_conv3d_forward.default: _convolution,
    _aten.slow_conv_dilated2d.default: _convolution,
    _aten.slow_conv_dilated3d.default: _convolution,
    _aten.softshrink_backward.default: _shrink_backward,
}
