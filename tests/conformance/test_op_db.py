# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""PyTorch's own list of operators (op_db): one sample of each, converted and compared.

Whatever happens to an operator, compiled, decomposed or left to PyTorch, its values must be
right. Those that do not compile in full stand in a table, which is held both ways: an operator
that leaves it, or joins it, fails here.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from op_db_islands import ISLANDS
from torch import Tensor, nn
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils import _pytree as pytree

import tessera as ts
from tessera.errors import CaptureError, ConversionError

#: Undefined values, and functions that draw random numbers.
UNDEFINED = ("empty", "new_empty", "rand", "normal", "bernoulli", "multinomial", "uniform",
             "exponential", "cauchy", "geometric", "log_normal", "svd_lowrank", "pca_lowrank",
             "nn.functional.dropout", "nn.functional.alpha_dropout",
             "nn.functional.feature_alpha_dropout", "nn.functional.rrelu",
             "nn.functional.fractional", "nn.functional.scaled_dot_product_attention",
             "to_sparse", "resize", "item", "hash_tensor", "nn.functional.multi_head",
             "jiterator")  # fmt: skip
#: Families that lie far from what networks call.
LEFT_OUT = ("linalg.", "fft.", "sparse", "masked.", "signal", "_refs", "special.")


class Function(nn.Module):
    """A call of one operator on the tensors among its arguments."""

    def __init__(self, op: Any, sample: Any) -> None:
        super().__init__()
        self.op = op.op
        self.flat, self.spec = pytree.tree_flatten((sample.input, sample.args, sample.kwargs))
        self.places = [i for i, item in enumerate(self.flat) if isinstance(item, Tensor)]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(self.flat[place] for place in self.places)

    def forward(self, *tensors: Tensor) -> Any:
        flat = list(self.flat)
        for place, tensor in zip(self.places, tensors, strict=True):
            flat[place] = tensor
        first, args, kwargs = pytree.tree_unflatten(flat, self.spec)
        return self.op(first, *args, **kwargs)


def _names() -> list[str]:
    chosen = [
        op.full_name
        for op in op_db
        if torch.float32 in op.supported_dtypes("cpu")
        and not op.name.startswith(UNDEFINED + LEFT_OUT)
    ]
    return sorted(set(chosen))


BY_NAME = {op.full_name: op for op in op_db}


def _first(op: Any) -> Function | None:
    for sample in op.sample_inputs("cpu", torch.float32, requires_grad=False):
        function = Function(op, sample)
        if function.tensors:
            return function.eval()
    return None


def outcome(function: Function) -> str:
    """ "compiled", or the reason why not; raises when a value is wrong."""
    tensors = function.tensors
    with torch.no_grad():
        want = pytree.tree_leaves(function(*(tensor.clone() for tensor in tensors)))
        try:
            converted = ts.from_pytorch(function, example_inputs=tensors, strict=True)
            result = "compiled"
        except ConversionError:
            converted = ts.from_pytorch(function, example_inputs=tensors)
            result = "island"
        except CaptureError:
            return "capture"
        got = pytree.tree_leaves(converted(*(tensor.clone() for tensor in tensors)))
    assert len(got) == len(want)
    for ours, theirs in zip(got, want, strict=True):
        if isinstance(theirs, Tensor):
            torch.testing.assert_close(
                ours, theirs, equal_nan=True, check_stride=False, rtol=1e-5, atol=5e-5
            )
        else:
            assert ours == theirs
    return result


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", _names())
def test_operator(name: str) -> None:
    function = _first(BY_NAME[name])
    if function is None:
        pytest.skip("takes no tensors")
    found = outcome(function)
    if name in ISLANDS:
        assert found != "compiled", f"{name} compiles now: take it out of op_db_islands.py"
    else:
        assert found == "compiled", f"{name} does not compile in full any more ({found})"
