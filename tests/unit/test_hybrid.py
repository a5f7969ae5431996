# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Models whose forward is ordinary Python: control flow on data, state, NumPy, exceptions.

The answer is PyTorch's for every call, and what lies below such a forward is compiled.
"""

from __future__ import annotations

import copy
import io
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import tessera as ts
from tessera.errors import StrictCaptureError

D = 16


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm = nn.Linear(D, D), nn.LayerNorm(D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(F.gelu(self.fc(x)) + x)


class Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = Block(), Block(), nn.Linear(D, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.first(x)
        y = self.second(y) if y[0, 0] > 0 else y * 2
        return self.head(y)


class EarlyExit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(4))
        self.heads = nn.ModuleList(nn.Linear(D, 3) for _ in range(4))

    def forward(self, x: torch.Tensor) -> Any:
        results = []
        for block, head in zip(self.blocks, self.heads, strict=True):
            x = block(x)
            results.append(head(x).softmax(-1))
            if results[-1].max().item() > 0.6:
                break
        return results[-1], len(results), results


class Rounds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(D, D), nn.Linear(D, 5)

    def forward(self, x: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        h, found = torch.zeros_like(x), []
        for _ in range(int(count.item())):
            h = self.cell(x, h)
            found.append(self.head(h))
        return torch.stack(found) if found else x.new_zeros(0)


class Memory(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()
        self.seen: dict[int, torch.Tensor] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = int(x.shape[0])
        self.seen[rows] = self.seen[rows] + 1 if rows in self.seen else torch.zeros(())
        return self.block(x) + self.seen[rows]


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block, self.steps = Block(), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        return self.block(-x if self.steps % 2 == 0 else x)


class Rows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block, self.fc = Block(), nn.Linear(D, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = [self.fc(row) if row.mean() > 0 else row for row in x.unbind(0)]
        return self.block(torch.stack(rows))


class Logging(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.block(x)
        print("mean", y.mean().item(), y.shape, file=io.StringIO())
        logging.getLogger("model").debug("std %s", y.std())
        return y * 2


class WithNumpy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Block(), Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.from_numpy(np.tanh(self.first(x).detach().numpy()))
        return self.second(y) * float(np.sqrt(2.0))


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before, self.inner, self.after = Block(), Branch(), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after(self.inner(self.before(x)))


class InSequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(Block(), Branch(), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) + self.net[2](x[:, :4])


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(D, 3)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(D, 32), nn.GELU(), nn.Linear(32, D)) for _ in range(3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, chosen = self.gate(x).softmax(-1).max(-1)
        result = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            mask = chosen == index
            if mask.any():
                result[mask] = expert(x[mask]) * weight[mask][:, None]
        return result


class Greedy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.block, self.head = nn.Embedding(11, D), Block(), nn.Linear(D, 11)

    def forward(self, ids: torch.Tensor, stop: int = 0) -> torch.Tensor:
        tokens = [int(token) for token in ids]
        for _ in range(5):
            x = self.block(self.embed(torch.tensor(tokens)))
            tokens.append(self.head(x[-1]).argmax().item())
            if tokens[-1] == stop:
                break
        return torch.tensor(tokens)


class Guarded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert not x.min() < -100, "too small"
        try:
            if torch.isnan(x).any():
                raise ValueError("NaN")
            return self.block(x)
        except ValueError:
            return torch.zeros_like(x)


class Settling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(D, D)

    def forward(self, x: torch.Tensor) -> Any:
        rounds = 0
        while x.norm() > 1.0 and rounds < 10:
            x = torch.tanh(self.fc(x)) * 0.7
            rounds += 1
        return x, rounds


class Chosen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleDict({"a": Block(), "b": Block()})

    def forward(self, x: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        return self.blocks["a" if which.item() > 0 else "b"](x)


class Options(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()

    def forward(self, x: torch.Tensor, mask: Any = None, *, scale: float = 1.0) -> Any:
        y = self.block(x)
        if mask is not None and mask.any():
            y = y.masked_fill(mask, 0)
        return {"y": y * scale, "scale": scale}


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(D, 8, batch_first=True), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths, batch_first=True, enforce_sorted=False
        )
        padded, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.head(padded)


class Select(nn.Module):
    """What comes out has another size for other data."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(D, D)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:1] if x[0, 0] > 1e9 else self.fc(x[x[:, 0] > 0])


class Maybe(nn.Module):
    def forward(self, x: torch.Tensor) -> Any:
        return (x, 1) if x.sum() > 0 else (None, 2)


class OverSelect(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before, self.select, self.after = nn.Linear(D, D), Select(), nn.Linear(D, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after(self.select(self.before(x))).sum(0)


class OverMaybe(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before, self.maybe, self.after = nn.Linear(D, D), Maybe(), nn.Linear(D, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, factor = self.maybe(self.before(x))
        return self.after(x if y is None else y) * factor


def numbers(seed: int = 0, rows: int = 5) -> torch.Tensor:
    return torch.randn(rows, D, generator=torch.Generator().manual_seed(seed))


def _simple(scale: float = 1.0) -> list[Any]:
    return [(numbers(seed) * scale,) for seed in range(5)]


T = torch.tensor
#: model, its calls, and what of it must be compiled
MODELS: dict[str, tuple[Callable[[], nn.Module], list[Any], str]] = {
    "branch": (Branch, _simple(), "first"),
    "early_exit": (EarlyExit, _simple(3.0), "blocks.0"),
    "rounds": (Rounds, [(numbers(), T(n)) for n in (3, 0, 5)], "cell"),
    "memory": (Memory, [(numbers(),)] * 3, "block"),
    "counting": (Counting, [(numbers(),)] * 4, "block"),
    "rows": (Rows, _simple(), "fc"),
    "logging": (Logging, _simple(), ""),
    "numpy": (WithNumpy, _simple(), "first"),
    "nested": (Nested, _simple(), "inner"),
    "in_sequence": (InSequence, _simple(), "net.1"),
    "experts": (Experts, _simple(), "experts.0"),
    "greedy": (Greedy, [(T([1, 2]),), (T([3, 4]),)], "block"),
    "guarded": (Guarded, [(numbers(),), (numbers() * float("nan"),), (numbers() - 200,)], "block"),
    "settling": (Settling, [(numbers(),), (numbers() * 0,), (numbers() * 9,)], "fc"),
    "chosen": (Chosen, [(numbers(), T(1)), (numbers(), T(-1))], "blocks.a"),
    "options": (Options, [(numbers(), numbers() > 0), (numbers(1), numbers() > 9)], "block"),
    "packed": (
        Packed,
        [(torch.ones(3, 4, D), T([4, 2, 3])), (torch.ones(3, 4, D), T([1, 2, 4]))],
        "head",
    ),
    "other_sizes": (OverSelect, _simple(), "before"),
    "other_results": (OverMaybe, _simple(), "before"),
}


def _kernels(report: Any) -> int:
    return len(report.kernels) + sum(_kernels(child) for child in report.children.values())


@pytest.mark.parametrize("name", MODELS)
def test_every_call_is_as_in_pytorch(name: str) -> None:
    make, calls, compiled = MODELS[name]
    torch.manual_seed(0)
    model = make().eval()
    eager = copy.deepcopy(model)
    tess = ts.from_pytorch(model, copy.deepcopy(calls[0]))
    for call in [*calls, calls[0]]:
        with torch.no_grad():
            try:
                expected = eager(*call)
            except AssertionError:
                with pytest.raises(AssertionError, match="too small"):
                    tess(*call)
                continue
            torch.testing.assert_close(tess(*call), expected, atol=1e-5, rtol=1e-4)
    report = tess.report
    if not compiled:
        assert report.fully_converted
        return
    assert report.islands[0].code == "capture-failed"
    assert report.children[compiled].mode in ("compiled", "hybrid")
    assert _kernels(report) > len(report.kernels)


@pytest.mark.parametrize("name", ["branch", "nested", "other_sizes"])
def test_strict_names_the_line(name: str) -> None:
    make, calls, _ = MODELS[name]
    with pytest.raises(StrictCaptureError, match=r"test_hybrid\.py:\d+"):
        ts.from_pytorch(make().eval(), calls[0], strict=True)


def test_a_result_without_one_form_is_said_once(caplog: Any) -> None:
    tess = ts.from_pytorch(OverSelect().eval(), (numbers(),))
    assert tess.report.mode == "compiled"
    with caplog.at_level(logging.WARNING, logger="tessera.capture"):
        for seed in range(4):
            tess(numbers(seed))
    assert len([record for record in caplog.records if "returned" in record.getMessage()]) == 1
    assert tess.report.mode == "hybrid"
    assert set(tess.report.children) == {"before", "select", "after"}
