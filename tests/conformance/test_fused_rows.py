# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random graphs of elementwise ops and reductions over the same dimensions, in float64.

They fuse into kernels of several passes over a row, with values kept between passes and results
of every level; PyTorch says what they mean.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch

from tessera import _core

UNARY: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh,
    "neg": torch.neg,
    "sigmoid": torch.sigmoid,
    "abs": torch.abs,
    "exp": torch.exp,
}
BINARY: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "add": torch.add,
    "mul": torch.mul,
    "sub": torch.sub,
    "maximum": torch.maximum,
}
SIZES = [1, 2, 3, 5, 8, 17, 33, 64, 70, 130]


def _type(x: torch.Tensor) -> str:
    return f"tensor<{''.join(f'{d}x' for d in x.shape)}f64>"


class RandomGraph:
    """Graph IR, and what it computes."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        generator = torch.Generator().manual_seed(seed)
        rank = self.rng.choice([1, 2, 3])
        self.shape = [self.rng.choice(SIZES) for _ in range(rank)]
        self.dims = sorted(self.rng.sample(range(rank), self.rng.randint(1, rank)))
        reduced = [1 if d in self.dims else s for d, s in enumerate(self.shape)]
        shapes = [self.shape, self.shape, self.shape[-1:], reduced]
        self.inputs = [
            torch.rand(s, dtype=torch.float64, generator=generator) - 0.5 for s in shapes
        ]
        self.values = [(f"%a{i}", x) for i, x in enumerate(self.inputs)]
        self.lines: list[str] = []
        for _ in range(self.rng.randint(3, 12)):
            self.rng.choice([self.unary, self.binary, self.reduction])()

    def append(self, text: str, signature: str, value: torch.Tensor) -> None:
        if value.abs().max() > 1e6:
            return
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = graph.{text} : {signature}")
        self.values.append((name, value))

    def unary(self) -> None:
        name, x = self.rng.choice(self.values)
        op = self.rng.choice(list(UNARY))
        self.append(f"{op} {name}", _type(x), UNARY[op](x))

    def binary(self) -> None:
        (name, x), (other, y) = self.rng.choice(self.values), self.rng.choice(self.values)
        op = self.rng.choice(list(BINARY))
        value = BINARY[op](x, y)
        signature = f"({_type(x)}, {_type(y)}) -> {_type(value)}"
        self.append(f"{op} {name}, {other}", signature, value)

    def reduction(self) -> None:
        name, x = self.rng.choice([v for v in self.values if list(v[1].shape) == self.shape])
        kind = self.rng.choice(["sum", "max", "min", "softmax"])
        if kind == "softmax":
            self.append(f"softmax {name} dim = {self.dims[0]}", _type(x), x.softmax(self.dims[0]))
            return
        functions = {"sum": torch.sum, "max": torch.amax, "min": torch.amin}
        value = functions[kind](x, self.dims, keepdim=True)
        text = f"reduce {kind} {name} dims = [{', '.join(map(str, self.dims))}] {{keepdim}}"
        self.append(text, f"({_type(x)}) -> {_type(value)}", value)

    def text(self, outputs: list[tuple[str, torch.Tensor]]) -> str:
        arguments = ", ".join(f"%a{i}: {_type(x)}" for i, x in enumerate(self.inputs))
        types = ", ".join(_type(x) for _, x in outputs)
        names = ", ".join(name for name, _ in outputs)
        body = "\n".join(self.lines)
        return (
            f"func.func @main({arguments}) -> ({types}) {{\n{body}\n  return {names} : {types}\n}}"
        )


@pytest.mark.parametrize("first", range(0, 60, 15))
@pytest.mark.parametrize("cpu", ["", "avx2"])
def test_random_rows(first: int, cpu: str) -> None:
    for seed in range(first, first + 15):
        graph = RandomGraph(seed)
        computed = graph.values[4:]
        if not computed:
            continue
        outputs = graph.rng.sample(computed, min(len(computed), graph.rng.randint(1, 3)))
        compiled = _core.compile(_core.GraphModule.parse(graph.text(outputs)), cpu=cpu)
        result = _core.Executable(compiled, [], {}, "rows", 1)(*graph.inputs)
        results = result if isinstance(result, tuple) else (result,)
        for got, (name, want) in zip(results, outputs, strict=True):
            torch.testing.assert_close(
                got, want, rtol=1e-9, atol=1e-9, msg=lambda m, n=name, s=seed: f"seed {s}, {n}: {m}"
            )
