# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Elementwise operators against PyTorch in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from harness import FLOATS, INTEGERS, Case, check, layouts, special, values
from torch import Tensor

import tessera as ts

aten = torch.ops.aten

#: name: function, low and high end of its arguments
UNARY: dict[str, tuple[Callable[[Tensor], Tensor], float, float]] = {
    **{
        name: (getattr(torch, name), -3.0, 3.0)
        for name in [
            "abs", "neg", "sign", "exp", "exp2", "expm1", "sin", "cos", "tan", "atan", "sinh",
            "cosh", "tanh", "asinh", "erf", "erfc", "sigmoid", "ceil", "floor", "trunc", "round",
            "frac", "square", "positive", "isnan", "isinf", "isfinite", "isposinf", "isneginf",
            "signbit", "deg2rad", "rad2deg", "sinc", "logical_not", "nan_to_num", "relu", "sgn",
        ]
    },
    **{
        name: (getattr(torch, name), 0.1, 9.0)
        for name in ["log", "log2", "log10", "sqrt", "rsqrt"]
    },
    "log1p": (torch.log1p, -0.9, 9.0),
    "reciprocal": (torch.reciprocal, 0.2, 9.0),
    "asin": (torch.asin, -1.0, 1.0),
    "acos": (torch.acos, -1.0, 1.0),
    "acosh": (torch.acosh, 1.0, 9.0),
    "atanh": (torch.atanh, -0.9, 0.9),
    "erfinv": (torch.erfinv, -0.95, 0.95),
    "logit": (torch.logit, 0.05, 0.95),
    "logit eps": (lambda x: torch.logit(x, 0.1), -0.5, 1.5),
    "round decimals": (lambda x: torch.round(x, decimals=1), -3.0, 3.0),
    "nan_to_num given": (lambda x: torch.nan_to_num(x, 1.0, 2.0, -2.0), -3.0, 3.0),
    "entr": (torch.special.entr, -1.0, 3.0),
    "ndtr": (torch.special.ndtr, -4.0, 4.0),
}  # fmt: skip

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "gelu": F.gelu,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "mish": F.mish,
    "elu": F.elu,
    "elu alpha": lambda x: F.elu(x, 0.7),
    "selu": F.selu,
    "celu": lambda x: F.celu(x, 1.3),
    "leaky_relu": F.leaky_relu,
    "leaky_relu slope": lambda x: F.leaky_relu(x, 0.2),
    "rrelu": F.rrelu,
    "hardtanh": F.hardtanh,
    "hardtanh bounds": lambda x: F.hardtanh(x, -0.5, 1.5),
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "softplus": F.softplus,
    "softplus beta": lambda x: F.softplus(x, 2.0, 3.0),
    "logsigmoid": F.logsigmoid,
    "threshold": lambda x: F.threshold(x, 0.5, -1.0),
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "tanhshrink": F.tanhshrink,
    "softsign": F.softsign,
    "glu": lambda x: F.glu(x, 0),
}

BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    **{
        name: getattr(torch, name)
        for name in [
            "add", "sub", "mul", "div", "floor_divide", "remainder", "fmod", "maximum", "minimum",
            "fmax", "fmin", "atan2", "copysign", "hypot", "logaddexp", "logaddexp2", "eq", "ne",
            "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "isclose",
        ]
    },
    "add alpha": lambda x, y: torch.add(x, y, alpha=2),
    "sub alpha": lambda x, y: torch.sub(x, y, alpha=0.5),
    "rsub": lambda x, y: torch.rsub(x, y),
    "div trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "div floor": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "pow": lambda x, y: torch.pow(x.abs(), y),
    "xlogy": lambda x, y: torch.xlogy(x, y.abs()),
    "heaviside": torch.heaviside,
    "lerp": lambda x, y: torch.lerp(x, y, 0.3),
    "lerp far": lambda x, y: torch.lerp(x, y, 0.8),
    "clamp tensors": lambda x, y: torch.clamp(x, y.abs() * -0.5, y.abs() * 0.5),
    "ldexp": lambda x, y: torch.ldexp(x, y.round()),
    "prelu": lambda x, y: F.prelu(x, y.flatten()[:1]),
}  # fmt: skip


def _power(exponent: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x**exponent


SCALAR: dict[str, Callable[[Tensor], Tensor]] = {
    "add": lambda x: x + 1.7,
    "radd": lambda x: 3 + x,
    "sub": lambda x: x - 2,
    "rsub": lambda x: 1.1 - x,
    "mul": lambda x: x * 0.37,
    "div": lambda x: x / 3,
    "rdiv": lambda x: 3.0 / (x.abs() + 1),
    "floordiv": lambda x: x // 0.75,
    "mod": lambda x: x % 0.75,
    "fmod": lambda x: torch.fmod(x, 0.75),
    "clamp": lambda x: x.clamp(-0.5, 1.25),
    "clamp_min": lambda x: x.clamp(min=0.1),
    "clamp_max": lambda x: x.clamp(max=0.1),
    "lt": lambda x: x < 0.1,
    "ge": lambda x: x >= 1,
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "where scalars": lambda x: torch.where(x > 0, 1.0, -1.0),
    "masked_fill": lambda x: x.masked_fill(x > 0.5, -5.0),
    "rpow": lambda x: 2.0**x,
    **{f"pow {power}": _power(power) for power in [0, 1, 2, 3, 4, 5, 0.5, -0.5, -1, -2, 2.5, -1.5]},
}

POWERS = {f"pow {power}": _power(power) for power in [0, 1, 2, 3, 4, 5, 0.5, -0.5, -1, -2, 2.5]}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_unary(dtype: torch.dtype) -> None:
    check(
        [
            Case(
                name,
                function,
                [values(3, 37, dtype=dtype, low=low, high=high)],
                exact=name == "nan_to_num",
                **_loose(name, dtype),
            )
            for name, (function, low, high) in UNARY.items()
        ]
    )


def _loose(name: str, dtype: torch.dtype) -> dict[str, float]:
    # Steep functions magnify the rounding of what they are given.
    if name in ("tan", "erfinv", "atanh", "sinc") and dtype == torch.float32:
        return {"rtol": 1e-5}
    return {}


def test_erfinv_up_to_its_ends() -> None:
    cases = []
    for dtype, digits, rtol in ((torch.float64, 53, 2e-15), (torch.float32, 24, 5e-7)):
        steps = 2.0 ** -torch.arange(1, digits + 1, dtype=torch.float64)
        x = torch.cat([1 - steps, steps - 1, steps, torch.linspace(-1, 1, 101).double()])
        cases.append(Case(f"erfinv {dtype}", torch.erfinv, [x.to(dtype)], rtol=rtol, atol=0))
    check(cases)


def test_gelu_over_a_wide_range() -> None:
    """By the factor between 0 and 1: an error shows where x is small as where it is large."""
    x = torch.cat([torch.linspace(-20, 20, 400_000), torch.logspace(-30, 30, 2000)])
    check(
        [
            Case(name, lambda x, f=ACTIVATIONS[name]: f(x) / x, [x], rtol=0, atol=3e-7)
            for name in ("gelu", "gelu tanh")
        ]
    )


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_activations(dtype: torch.dtype) -> None:
    check(
        [
            Case(name, function, [values(4, 29, dtype=dtype, low=-7, high=7)])
            for name, function in ACTIVATIONS.items()
        ]
    )


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_binary(dtype: torch.dtype) -> None:
    x, y = values(4, 1, 9, dtype=dtype), values(5, 9, dtype=dtype, seed=1)
    # torch rounds quotients of half precision first, in its vectors but not in their tails.
    skipped = {"div trunc"} if dtype.itemsize == 2 else set()
    check(
        [
            Case(name, function, [x, y], exact=name == "isclose")
            for name, function in BINARY.items()
            if name not in skipped
        ]
    )


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_scalars(dtype: torch.dtype) -> None:
    x, positive = values(5, 13, dtype=dtype), values(5, 13, dtype=dtype, low=0.5)
    quotients = {"floordiv", "mod", "fmod"}
    cases = [
        Case(name, function, [x], exact=name in quotients) for name, function in SCALAR.items()
    ]
    check(cases + [Case(name, function, [positive]) for name, function in POWERS.items()])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_three_operands(dtype: torch.dtype) -> None:
    x, y, z = (values(3, 7, dtype=dtype, seed=seed) for seed in range(3))
    divisor = values(3, 7, dtype=dtype, low=1)
    check(
        [
            Case("addcmul", lambda x, y, z: torch.addcmul(x, y, z, value=0.5), [x, y, z]),
            Case("addcdiv", lambda x, y, z: torch.addcdiv(x, y, z, value=2), [x, y, divisor]),
            Case("lerp", torch.lerp, [x, y, z]),
            Case("where", lambda x, y, z: torch.where(x > 0, y, z), [x, y, z]),
            Case("clamp", lambda x, y, z: torch.clamp(x, y, z), [x, y, z]),
            Case("masked_fill tensor", lambda x, y: x.masked_fill(y > 0, x.sum() * 0 + 2), [x, y]),
        ]
    )


def test_special_values() -> None:
    x = special()
    functions = {
        name: function
        for name, (function, _, _) in UNARY.items()
        if name not in ("tan", "sin", "cos", "sinc", "cosh", "sinh", "erfinv", "frac")
    }
    functions |= {name: function for name, function in ACTIVATIONS.items() if name != "glu"}
    functions |= {f"scalar {name}": function for name, function in {**SCALAR, **POWERS}.items()}
    # torch's gelu of an infinity is NaN in float32, though not in float64.
    check(
        [
            Case(name, function, [x], exact=name != "gelu", rtol=1e-5)
            for name, function in functions.items()
        ]
    )


def test_special_pairs() -> None:
    x, y = special().unsqueeze(1), special()
    # torch's vectors multiply by `alpha` and add without overflow between,
    # and its remainders of the largest numbers are NaN.
    skipped = {"ldexp", "prelu", "isclose", "add alpha", "sub alpha", "fmod", "remainder"}
    check(
        [
            Case(name, function, [x, y], exact=True, rtol=1e-5)
            for name, function in BINARY.items()
            if name not in skipped
        ]
    )


def test_layouts() -> None:
    cases = []
    for name, x in layouts().items():
        cases += [
            Case(f"{name}: unary", torch.exp, [x]),
            Case(f"{name}: scalar", lambda x: x * 2 + 1, [x]),
            Case(f"{name}: itself", lambda x: x + x, [x]),
            Case(f"{name}: compare", lambda x: x > 0, [x]),
        ]
        if x.ndim:
            cases += [
                Case(f"{name}: row", lambda x, y: x - y, [x, values(x.shape[-1], seed=5)]),
                Case(
                    f"{name}: column",
                    lambda x, y: x * y,
                    [x, values(x.shape[0], *[1] * (x.ndim - 1))],
                ),
            ]
    check(cases)


# --- integers and bools ----------------------------------------------------------------------

INTEGER_BINARY: dict[str, Callable[[Any, Any], Tensor]] = {
    **{
        name: getattr(torch, name)
        for name in [
            "add", "sub", "mul", "div", "floor_divide", "remainder", "fmod", "maximum", "minimum",
            "bitwise_and", "bitwise_or", "bitwise_xor", "eq", "ne", "lt", "le", "gt", "ge",
            "logical_and", "logical_or", "logical_xor", "atan2",
        ]
    },
    "div trunc": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "div floor": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "add alpha": lambda x, y: torch.add(x, y, alpha=3),
    "pow": lambda x, y: torch.pow(x, y.abs() % 4),
}  # fmt: skip


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers(dtype: torch.dtype) -> None:
    x = values(4, 11, dtype=dtype, low=-100, high=100)
    y = values(4, 11, dtype=dtype, low=-100, high=100, seed=1)
    y = torch.where(y == 0, 3, y).to(dtype)
    cases = [Case(name, function, [x, y]) for name, function in INTEGER_BINARY.items()]
    plain: dict[str, Callable[[Tensor], Tensor]] = {
        "abs": torch.abs, "neg": torch.neg, "sign": torch.sign, "not": torch.bitwise_not,
        "floor": torch.floor, "round": torch.round, "relu": torch.relu, "square": torch.square,
        "exp": lambda x: torch.exp(x / 32), "sqrt": lambda x: torch.sqrt(x.abs() % 100),
        "sigmoid": torch.sigmoid, "reciprocal": lambda x: torch.reciprocal(x.abs() % 7 + 1),
        "isnan": torch.isnan, "isfinite": torch.isfinite, "logical_not": torch.logical_not,
        "add scalar": lambda x: x + 5, "mul float": lambda x: x * 0.5, "div": lambda x: x / 4,
        "floordiv": lambda x: x // 3, "mod": lambda x: x % 7, "clamp": lambda x: x.clamp(-5, 9),
        "clamp float": lambda x: x.clamp(-5.5, 9.5), "pow 2": lambda x: x**2,
        "pow 3": lambda x: x**3, "lt": lambda x: x < 3, "lt float": lambda x: x < 2.5,
        "where": lambda x: torch.where(x > 0, x, 7),
        "masked_fill": lambda x: x.masked_fill(x > 0, 2), "shift left": lambda x: x << 2,
        "shift right": lambda x: x >> 2, "rsub": lambda x: 3 - x, "signbit": torch.signbit,
    }  # fmt: skip
    if dtype == torch.uint8:
        plain.pop("clamp")
        plain.pop("clamp float")
    cases += [Case(name, function, [x]) for name, function in plain.items()]
    bits = torch.iinfo(dtype).bits
    amounts = torch.tensor([0, 1, 3, bits - 1, bits, bits + 5, 2, 4, 0, 1, 2], dtype=dtype)
    cases += [
        Case("shift left by tensors", torch.bitwise_left_shift, [x, amounts]),
        Case("shift right by tensors", torch.bitwise_right_shift, [x, amounts]),
        Case("gcd", torch.gcd, [x, amounts * 6]),
        Case("lcm", torch.lcm, [x, amounts]),
    ]
    check(cases)


def test_common_divisors_of_large_numbers() -> None:
    high, low = torch.iinfo(torch.int64).max, torch.iinfo(torch.int64).min
    x = torch.tensor([2**62, high, low, low, 0, 0, 7540113804746346429, 3 * 2**60])
    y = torch.tensor([2**61, high - 1, 6, 0, low, 0, 4660046610375530309, 2**60])
    check([Case("gcd", torch.gcd, [x, y])])


def test_bools() -> None:
    x, y = values(3, 17, dtype=torch.bool), values(3, 17, dtype=torch.bool, seed=1)
    binary: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "add": torch.add, "mul": torch.mul, "and": torch.bitwise_and, "or": torch.bitwise_or,
        "xor": torch.bitwise_xor, "eq": torch.eq, "ne": torch.ne, "lt": torch.lt, "le": torch.le,
        "gt": torch.gt, "ge": torch.ge, "maximum": torch.maximum, "minimum": torch.minimum,
        "div": lambda x, y: x / (y + 1), "where": lambda x, y: torch.where(x, y, x),
        "logical_and": torch.logical_and,
    }  # fmt: skip
    unary: dict[str, Callable[[Tensor], Tensor]] = {
        "not": torch.bitwise_not, "logical_not": torch.logical_not, "add": lambda x: x + 1,
        "mul": lambda x: x * 2.5, "exp": torch.exp, "sum": lambda x: x.sum(),
        "float": lambda x: x.float(),
        "int": lambda x: x.int(), "half": lambda x: x.half(), "invert": lambda x: ~x,
    }  # fmt: skip
    check(
        [Case(name, function, [x, y]) for name, function in binary.items()]
        + [Case(name, function, [x]) for name, function in unary.items()]
    )


def test_promotion() -> None:
    kinds = {
        "f32": values(2, 3), "f64": values(2, 3, dtype=torch.float64),
        "f16": values(2, 3, dtype=torch.float16), "bf16": values(2, 3, dtype=torch.bfloat16),
        "i8": values(2, 3, dtype=torch.int8), "i64": values(2, 3, dtype=torch.int64),
        "u8": values(2, 3, dtype=torch.uint8), "bool": values(2, 3, dtype=torch.bool),
        "0-d f64": values(dtype=torch.float64), "0-d i64": values(dtype=torch.int64),
        "0-d f16": values(dtype=torch.float16),
    }  # fmt: skip
    check(
        [
            Case(f"{a} * {b}", torch.mul, [x, y], exact=True)
            for a, x in kinds.items()
            for b, y in kinds.items()
        ]
    )


CASTS = (*FLOATS, *INTEGERS, torch.bool)


@pytest.mark.parametrize("source", CASTS, ids=str)
def test_casts(source: torch.dtype) -> None:
    x = values(41, dtype=source, low=0, high=100)
    signed = values(41, dtype=source, low=-100, high=100)
    cases = [
        Case(f"to {target}", lambda x, target=target: x.to(target), [x], exact=True)
        for target in CASTS
    ]
    cases += [
        Case(f"signed to {target}", lambda x, target=target: x.to(target), [signed], exact=True)
        for target in CASTS
        if target != torch.uint8
    ]
    check(cases)


@pytest.mark.parametrize("to", [torch.int64, torch.int32, torch.int16])
def test_casts_of_what_no_integer_is(to: torch.dtype) -> None:
    def constant(x: Tensor) -> Tensor:
        return torch.full((5,), -math.inf).to(to) + torch.zeros_like(x).log().to(to)

    beyond = torch.tensor([math.inf, -math.inf, math.nan, 1e30, -1e30])
    check(
        [
            Case("constant", constant, [beyond], exact=True),
            Case("input", lambda x: x.to(to), [beyond], exact=True),
        ]
    )


def test_integer_division_by_zero_is_an_error() -> None:
    import tessera as ts

    class Divide(torch.nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x // y

    x, y = torch.tensor([1, 2, 3]), torch.tensor([1, 1, 1])
    divide = ts.from_pytorch(Divide(), example_inputs=(x, y), strict=True)
    with pytest.raises(RuntimeError, match=r"(?i)zero"):
        divide(x, torch.tensor([1, 0, 1]))
    # and it works on the next call
    assert divide(x, y).tolist() == [1, 2, 3]


def test_infinite_powers() -> None:
    bases = torch.tensor([0.0, -0.0, 1.0, -1.0, 2.0, -2.0, math.inf, -math.inf, math.nan])
    powers = torch.tensor([0.0, 1.0, -1.0, 2.0, 3.0, 0.5, -0.5, math.inf, -math.inf, math.nan])
    check([Case("pow", torch.pow, [bases.unsqueeze(1), powers], exact=True)])


def test_the_angle_of_constant_zeros() -> None:
    # MLIR folds it to NaN.
    class Angles(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            zero = torch.full((), 0.0)
            return torch.stack(
                [torch.atan2(y, z) * x for y in (zero, -zero) for z in (zero, -zero)]
            )

    x = torch.ones(3)
    tess = ts.from_pytorch(Angles(), example_inputs=(x,), strict=True)
    torch.testing.assert_close(tess(x), Angles()(x))


class Gate(torch.nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("function", [F.silu, torch.sigmoid])
def test_gates_are_as_exact_as_in_pytorch(function: Callable[[Tensor], Tensor]) -> None:
    """Over the whole range, in epsilons of the largest result; and what saturates saturates."""
    model = Gate(function).eval()
    x = torch.cat([torch.linspace(-110, 110, 100_003), torch.linspace(-20, 20, 100_003)])
    compiled = ts.from_pytorch(model, example_inputs=(x,), strict=True)
    wide = function(x.double())
    ours, theirs = (compiled(x).double() - wide).abs(), (function(x).double() - wide).abs()
    assert ours.max() <= 2 * theirs.max()
    assert (ours / wide.abs())[x.abs() < 20].max() < 10 * torch.finfo(torch.float32).eps
    ends = x.clone()
    ends[:6] = torch.tensor([torch.inf, -torch.inf, torch.nan, 3e38, -3e38, 1e-40])
    torch.testing.assert_close(compiled(ends), function(ends), equal_nan=True)
