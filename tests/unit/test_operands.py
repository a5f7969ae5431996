# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What `ts.ops` and `ts.nn` say of arguments that are no operands."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import tessera as ts
from tessera.errors import ArgumentTypeError


def operand_cases() -> list[Any]:
    """(function, name of the parameter) for each operand of each public function."""
    cases = []
    for module, label in ((ts.ops, "ops"), (ts.nn, "nn")):
        for name in module.__all__:
            function = getattr(module, name)
            if not inspect.isfunction(function):
                continue
            for parameter in inspect.signature(function).parameters.values():
                if "Value" in str(parameter.annotation):
                    identifier = f"{label}.{name}-{parameter.name}"
                    cases.append(pytest.param(function, parameter.name, id=identifier))
    return cases


def arguments_for(function: Callable[..., Any], wrong: str, given: Any) -> dict[str, Any]:
    """Plausible arguments, with `given` for the one called `wrong`."""
    arguments: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        kind = str(parameter.annotation)
        if parameter.name == wrong:
            arguments[parameter.name] = given
        elif parameter.kind is parameter.VAR_POSITIONAL or parameter.default is not parameter.empty:
            continue
        elif kind.startswith("Sequence[Value]"):
            arguments[parameter.name] = [ts.tensor([1.0, 2.0])]
        elif "Value" in kind:
            arguments[parameter.name] = ts.tensor([1.0, 2.0])
        elif "dtype" in kind:
            arguments[parameter.name] = torch.float32
        else:
            arguments[parameter.name] = [0] if "Sequence" in kind and "int |" not in kind else 0
    return arguments


@pytest.mark.parametrize(("function", "name"), operand_cases())
def test_a_string_is_named(function: Callable[..., Any], name: str) -> None:
    with pytest.raises(ArgumentTypeError, match=r"^\[\w+\] argument '\w+' must be .*'bad' \(str"):
        function(**arguments_for(function, name, "bad"))


def test_the_message_names_argument_value_and_remedy() -> None:
    for tensor in (ts.tensor([1.0]), torch.ones(1)):
        with pytest.raises(ArgumentTypeError) as caught:
            ts.ops.add(tensor, "a")
        assert str(caught.value) == (
            "[add] argument 'other' must be a tensor or a number, got 'a' (str)\n"
            "  What to do: pass a tensor or a number"
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: ts.ops.add(t, None), r"\[add\] argument 'other' .* got None"),
        (lambda t: ts.ops.add(t, [1.0]), r"\[add\] argument 'other' .* got \[1.0\] \(list\)"),
        (lambda t: ts.ops.add(t, {1}), r"\[add\] argument 'other' .* got \{1\} \(set\)"),
        (lambda t: ts.ops.add(t, t, alpha="x"), r"argument 'alpha' must be a number, got 'x'"),
        (lambda t: ts.ops.add(t, np.ones(2)), r"(?s)argument 'other'.*ts\.from_dlpack"),
        (lambda t: ts.ops.matmul(t, 3), r"\[matmul\] argument 'other' must be a tensor, got 3"),
        (lambda t: ts.ops.cat([t, 3]), r"argument 'tensors' must be a list or tuple of tensors"),
        (lambda t: ts.ops.cat(3), r"argument 'tensors' must be a list or tuple of tensors"),
        (lambda t: ts.ops.sum(t, dim="a"), r"\[sum\] argument 'dim' must be integers, got 'a'"),
        (lambda t: ts.ops.sum(t, dim=1.5), r"\[sum\] argument 'dim' must be integers, got 1.5"),
        (lambda t: ts.ops.reshape(t, "a"), r"\[reshape\] argument 'shape' must be integers"),
        (lambda t: ts.ops.softmax(t, "a"), r"argument 'dim' must be an integer, got 'a'"),
        (lambda t: ts.ops.sum(t, 0, "yes"), r"argument 'keepdim' must be a bool, got 'yes'"),
        (lambda t: ts.ops.div(t, t, rounding_mode=1), r"'rounding_mode' must be a string, got 1"),
        (lambda t: ts.ops.isposinf("a"), r"\[isposinf\] argument 'input' must be a tensor"),
        (lambda t: t.add("a"), r"\[add\] argument 'other' must be a tensor or a number"),
    ],
)
def test_arguments_of_other_kinds(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ArgumentTypeError, match=message):
        call(ts.tensor([1.0, 2.0]))


def test_what_stands_for_numbers_is_taken() -> None:
    t = ts.tensor([1.0, 2.0])
    assert ts.ops.add(t, np.float64(1)).torch().tolist() == [2.0, 3.0]
    assert ts.ops.sum(t, np.int64(0)).torch().item() == 3.0
    assert ts.ops.sum(t, dim=()).torch().tolist() == t.torch().sum(dim=()).tolist()
    assert ts.ops.squeeze(t).torch().tolist() == [1.0, 2.0]


def test_inside_a_lowering() -> None:
    """There the mistake must not pass for an operator that is not supported."""

    @torch.library.custom_op("tessera_test::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @twice.register_fake
    def _(x: torch.Tensor) -> torch.Tensor:
        return torch.empty_like(x)

    def lower(node: Any, ctx: Any) -> Any:
        return ts.ops.mul(ctx.get_inputs(node)[0], "2")

    class Twice(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.tessera_test.twice(x)

    ts.compat.register_aten("tessera_test::twice")(lower)
    with pytest.raises(Exception, match=r"\[mul\] argument 'other' must be a tensor or a number"):
        ts.from_pytorch(Twice(), example_inputs=(torch.ones(2),))
