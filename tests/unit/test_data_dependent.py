# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Sizes that depend on data: selections, places, repeats and what follows from them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from calling import Calling
from models import foreign
from torch import nn

import tessera as ts
from tessera import staged
from tessera.errors import ConversionError, InputMismatchError


def masked_input(count: int, seed: int = 0) -> torch.Tensor:
    """4x6 numbers, `count` of which are positive."""
    generator = torch.Generator().manual_seed(seed)
    values = -torch.rand(24, generator=generator) - 0.1
    places = torch.randperm(24, generator=generator)[:count]
    values[places] = -values[places]
    return values.reshape(4, 6)


def check(function: Callable[..., Any], *calls: Any, strict: bool = True) -> Any:
    """Converts for the first call's arguments and compares all calls with PyTorch."""
    calls = tuple(call if isinstance(call, tuple) else (call,) for call in calls)
    model = function if isinstance(function, nn.Module) else Calling(function)
    tess = ts.from_pytorch(model, calls[0], strict=strict)
    for call in calls:
        with torch.no_grad():
            torch.testing.assert_close(tess(*call), model(*call))
    return tess


def assign(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[x > 0] = x[x > 0] * 2
    return y


def doubled_in_place(x: torch.Tensor) -> torch.Tensor:
    y = x[x > 0]
    y *= 2
    return y


def twice(x: torch.Tensor) -> torch.Tensor:
    y = x[x > 0]
    return y[y > 0.5] * 2


def split(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    keep = (x > 0).any(dim=1).sum().item()
    return x[:keep], x[keep:].sum(dim=0)


SELECTIONS: dict[str, Callable[..., Any]] = {
    "mask": lambda x: x[x > 0],
    "mask_then_ops": lambda x: torch.relu(x[x > 0] - 0.3).sum(),
    "mask_mean": lambda x: x[x > 0].sum() / (x > 0).sum().clamp(min=1),
    "rows": lambda x: x[(x > 0).any(1)] @ torch.ones(6, 2),
    "columns": lambda x: x[:, (x > 0).any(0)],
    "mask_and_index": lambda x: x[(x > 0).any(1), 2],
    "mask_with_trailing_slice": lambda x: x[(x > 0).any(1), 1:3],
    "byte_mask": lambda x: x[(x > 0).any(1).to(torch.uint8).bool()],
    "masked_select": lambda x: torch.masked_select(x, x > 0) + 1,
    "masked_select_broadcast": lambda x: torch.masked_select(x, (x > 0).any(1, keepdim=True)),
    "nonzero": lambda x: torch.nonzero(x > 0),
    "nonzero_of_floats": lambda x: torch.nonzero(torch.relu(x)) * 2,
    "nonzero_as_tuple": lambda x: x[torch.nonzero(x > 0, as_tuple=True)] + 1,
    "argwhere": lambda x: torch.argwhere(x > 0).sum(0),
    "where": lambda x: torch.where(x > 0),
    "nested": twice,
    "assign_selection": assign,
    "assign_number": lambda x: torch.where(x > 0, x, x).masked_fill(x > 0, 0.0),
    "in_place": doubled_in_place,
    "softmax": lambda x: torch.softmax(x[x > 0], 0),
    "sort": lambda x: x[x > 0].sort().values,
    "cat": lambda x: torch.cat([x[x > 0], x[x <= 0]]),
    "count": lambda x: (x[x > 0] * 2, x[x > 0].shape[0]),
    "unique": lambda x: torch.unique((x * 4).long()),
    "unique_all": lambda x: torch.unique(
        (x * 4).long(), return_inverse=True, return_counts=True
    ),
    "unique_unsorted": lambda x: torch.unique((x * 4).long(), sorted=False),
    "unique_consecutive": lambda x: torch.unique_consecutive(
        (x > 0).long(), return_inverse=True, return_counts=True
    ),
    "repeat": lambda x: torch.repeat_interleave(x, (x > 0).sum(1), dim=0),
    "repeat_flat": lambda x: torch.repeat_interleave((x > 0).sum(1)),
    "bincount": lambda x: torch.bincount((x > 0).sum(1)),
    "bincount_weights": lambda x: torch.bincount((x > 0).sum(1), x[:, 0], minlength=3),
    "one_hot": lambda x: F.one_hot((x > 0).sum(1)) * 2,
    "arange": lambda x: torch.arange((x > 0).sum().item()) * 2,
    "zeros": lambda x: torch.zeros((x > 0).sum().item(), 3) + 1,
    "slices": split,
    "tensor_split": lambda x: torch.tensor_split(x, (x[:2] > 0).sum(1).sort().values)[1] * 2,
    "equal": lambda x: (torch.equal(x, x.relu()), torch.equal(x, x[0]), x * 2),
    "allclose": lambda x: torch.allclose(x, x.relu(), atol=0.5),
    "static": lambda x: torch.nonzero_static(x > 0, size=5),
}  # fmt: skip


@pytest.mark.parametrize("name", SELECTIONS)
def test_every_count(name: str) -> None:
    """None, some and all elements, from one conversion."""
    calls = [masked_input(count, seed=count) for count in (11, 0, 24, 7, 11, 1)]
    tess = check(SELECTIONS[name], *calls)
    assert tess.report.fully_converted
    assert not tess.report.islands


@pytest.mark.parametrize("name", ["mask", "rows", "nested", "unique_all", "repeat"])
def test_converted_with_an_empty_example(name: str) -> None:
    check(SELECTIONS[name], masked_input(0), masked_input(24), masked_input(5))


class Tokens(nn.Module):
    """Only the tokens that are no padding go through the layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8, padding_idx=0)
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8), nn.LayerNorm(8))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls.add_(1)
        h = self.embed(ids)
        kept = ids != 0
        out = torch.zeros_like(h)
        out[kept] = self.layers(h[kept])
        return out, self.calls.clone()


def test_a_model_that_packs_tokens() -> None:
    torch.manual_seed(0)
    model = Tokens().eval()
    calls = [torch.randint(0, 20, (3, 5)) * (torch.rand(3, 5) < p) for p in (0.5, 0.0, 1.0, 0.7)]
    tess = ts.from_pytorch(model, (calls[0],), strict=True)
    assert model.calls == 0, "a conversion writes no buffer"
    for number, ids in enumerate(calls, 1):
        result, count = tess(ids)
        assert count == number
        model.calls.fill_(number - 1)
        with torch.no_grad():
            torch.testing.assert_close(result, model(ids)[0])
    # Weights are read anew.
    with torch.no_grad():
        model.layers[0].weight.mul_(2)
        torch.testing.assert_close(tess(calls[0])[0], model(calls[0])[0])


def test_threads_with_other_counts() -> None:
    model = Calling(twice)
    tess = ts.from_pytorch(model, (masked_input(3),), strict=True)
    failures: list[str] = []

    def run(offset: int) -> None:
        for step in range(12):
            x = masked_input((offset + 5 * step) % 25, seed=offset)
            if not torch.equal(tess(x), model(x)):
                failures.append(f"{offset} {step}")

    threads = [threading.Thread(target=run, args=(offset,)) for offset in (0, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_with_dynamic_shapes() -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x[x.sum(1) > 0] * 2).sum(0)

    model, batch = Model(), torch.export.Dim("n", max=64)
    tess = ts.from_pytorch(
        model, (torch.randn(4, 6),), dynamic_shapes={"x": {0: batch}}, strict=True
    )
    for size in (4, 9, 2, 33):
        x = torch.randn(size, 6)
        torch.testing.assert_close(tess(x), model(x))


def test_numbers_in_the_result() -> None:
    """They are read after the last stage, and are no reason to compile for each."""
    model = Calling(lambda x: (x * 2, x.long().sum().item() + 1, x[0, 0].item() * 2.5))
    tess = ts.from_pytorch(model, (torch.ones(4, 6),), strict=True)
    for x in (torch.randn(4, 6) * 3, torch.zeros(4, 6)):
        expected = model(x)
        doubled, count, number = tess(x)
        assert torch.equal(doubled, expected[0])
        assert (count, type(count)) == (expected[1], int)
        assert (number, type(number)) == (expected[2], float)


def test_nothing_but_a_number_in_the_result() -> None:
    class Number(nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return x.item()

    assert ts.from_pytorch(Number(), (torch.tensor(2.0),), strict=True)(torch.tensor(3.0)) == 3.0


def test_numbers_that_no_size_follows_from_do_not_recompile(caplog: Any) -> None:
    model = Calling(lambda x: (x * x.sum().item())[x > 0])
    tess = ts.from_pytorch(model, (masked_input(5),))
    program = tess._execution().program
    for seed in range(4):
        x = masked_input(5, seed=seed)
        torch.testing.assert_close(tess(x), model(x))
    assert len(program.executable.steps()) == 2


def test_checks_hold_for_every_call() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        count = (x > 0).sum().item()
        torch._check(count >= 3, lambda: "too few")
        return torch.ones(count) * 2

    model = Calling(function)
    tess = ts.from_pytorch(model, (masked_input(5),))
    assert tess(masked_input(7)).shape == (7,)
    with pytest.raises(RuntimeError, match="too few"):
        tess(masked_input(2))
    strict = ts.from_pytorch(model, (masked_input(5),), strict=True)
    with pytest.raises(InputMismatchError, match="other data"):
        strict(masked_input(2))


def _equal_numbers(x: torch.Tensor) -> torch.Tensor:
    total, first = x.sum().long().item(), (x[0] * 6).long().item()
    torch._check(total == first)
    return x * total


def _in_place(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y.add_(1)
    torch._check((x.sum() > 0).item())
    return y


def _known(x: torch.Tensor) -> torch.Tensor:
    total = x.sum().long().item()
    torch._check(total == 6)
    return torch.zeros(total)


#: Checks that leave only one value for what they are about.
SETTLING: dict[str, Callable[[torch.Tensor], Any]] = {
    "bool": lambda x: (torch._check((x.sum() > 0).item()), x + 1)[1],
    "value": lambda x: (torch._check_value((x > 0).all().item()), x + 1)[1],
    "all": lambda x: (torch._check_tensor_all(x > 0), x + 1)[1],
    "operator": lambda x: (torch.ops.aten._assert_scalar((x[0] > 0).item(), "no"), x + 1)[1],
    "float": lambda x: (torch._check(x.sum().item() == 6.0), x + 1)[1],
    "size": _known,
    "numbers": _equal_numbers,
    "in place": _in_place,
}


@pytest.mark.parametrize("name", SETTLING)
def test_checks_that_tell_a_number_are_made(name: str) -> None:
    """What a check demands is not taken for granted."""
    model = Calling(SETTLING[name])
    good, bad = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-1.0, -2.0, -4.0])
    tess = ts.from_pytorch(model, (good,))
    assert torch.equal(tess(good), model(good))
    with pytest.raises((RuntimeError, ValueError)):
        model(bad)
    with pytest.raises((RuntimeError, ValueError)):
        tess(bad)
    assert torch.equal(tess(good), model(good))


def _selected(x: torch.Tensor) -> torch.Tensor:
    found = x.masked_select(x > 0)
    torch._check(found.shape[0] == 3)
    return found * 2


def _relative(x: torch.Tensor) -> torch.Tensor:
    found = x[x > 0]
    torch._check(found.shape[0] == x.shape[0] - 2)
    return found * 2


def _bounded(x: torch.Tensor) -> torch.Tensor:
    found = torch.nonzero(x > 0)
    torch._check(found.shape[0] > 2)
    torch._check(found.shape[0] < 4)
    return found * 2


def _as_read(x: torch.Tensor) -> torch.Tensor:
    found = x.masked_select(x > 0)
    torch._check(found.shape[0] == x.abs().max().long().item())
    return found * 2


@pytest.mark.parametrize("function", [_selected, _relative, _bounded, _as_read])
@pytest.mark.parametrize("strict", [False, True])
def test_sizes_that_a_check_tells_are_counted(
    function: Callable[[torch.Tensor], Any], strict: bool
) -> None:
    model = Calling(function)
    good = torch.tensor([1.0, 2.0, 3.0, -3.0, -1.0])
    tess = ts.from_pytorch(model, (good,), strict=strict)
    assert torch.equal(tess(good), model(good))
    more = torch.tensor([1.0, 2.0, 3.0, 3.0, 3.0])
    for call in (model, tess):
        with pytest.raises(InputMismatchError if strict and call is tess else RuntimeError):
            call(more)


def test_checks_against_sizes_are_made() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        torch._check(x.sum().long().item() == x.shape[0])
        return x + 1

    def sized(x: torch.Tensor) -> torch.Tensor:
        size, last = x[0].long().item(), x[-1].long().item()
        torch._check(size == last)
        return torch.ones(size) + last

    rows = (({0: torch.export.Dim("rows")},),)  # of all that the module is given
    tess = ts.from_pytorch(Calling(function), (torch.ones(4),), dynamic_shapes=rows)
    assert torch.equal(tess(torch.ones(7)), torch.ones(7) + 1)
    other = ts.from_pytorch(Calling(sized), (torch.tensor([3.0, 1, 3]),))
    assert torch.equal(other(torch.tensor([2.0, 1, 2])), torch.ones(2) + 2)
    for call, wrong in ((tess, torch.ones(4) * 2), (other, torch.tensor([2.0, 1, 3]))):
        with pytest.raises(RuntimeError):
            call(wrong)


def test_equal_counts_that_are_not() -> None:
    """What the capture took for granted of two masks is checked, and PyTorch answers else."""
    model = Calling(lambda x: x[x > 0] + x[x < -0.5])
    even = torch.tensor([[1.0, -1.0, 2.0, -2.0, 3.0, -3.0]])
    broadcast = torch.tensor([[1.0, -1.0, -2.0, -3.0, -4.0, -5.0]])
    tess = ts.from_pytorch(model, (even,))
    for x in (even, broadcast):
        assert torch.equal(tess(x), model(x))
    with pytest.raises(RuntimeError, match="size of tensor"):
        tess(torch.tensor([[1.0, 2.0, 3.0, 4.0, -1.0, -2.0]]))


@torch.library.custom_op("tessera_tests::positive", mutates_args=())
def positive(x: torch.Tensor) -> torch.Tensor:
    return x[x > 0].clone()


@positive.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return x.new_empty(torch.library.get_ctx().new_dynamic_size())


PYTORCH_BETWEEN: dict[str, Callable[..., Any]] = {
    "custom_op": lambda x: torch.relu(positive(x * 2) - 0.5).sum(),
    "unique_rows": lambda x: torch.unique((x > 0).long(), dim=0) + 1,
}


@pytest.mark.parametrize("name", PYTORCH_BETWEEN)
def test_operators_that_only_pytorch_has(name: str) -> None:
    calls = [masked_input(count) for count in (11, 0, 24, 7)]
    tess = check(PYTORCH_BETWEEN[name], *calls, strict=False)
    (island,) = tess.report.islands
    assert island.code == "data-dependent-shape"
    assert any(row.status == "compiled" for row in tess.report.nodes)
    with pytest.raises(ConversionError, match="size depends on the data"):
        ts.from_pytorch(Calling(PYTORCH_BETWEEN[name]), (calls[0],), strict=True)


def test_repeats_that_do_not_come_to_the_given_size() -> None:
    model = Calling(lambda n: torch.repeat_interleave(n, output_size=3))
    tess = ts.from_pytorch(model, (torch.tensor([1, 2, 0]),), strict=True)
    assert torch.equal(tess(torch.tensor([0, 1, 2])), torch.tensor([1, 2, 2]))
    for wrong in ([1, 2, 3], [1, 1, 0]):
        with pytest.raises(IndexError):
            tess(torch.tensor(wrong))


def test_what_pytorch_refuses_is_refused() -> None:
    model = Calling(lambda x, n: torch.repeat_interleave(x, n, dim=0))
    x = torch.randn(3, 2)
    tess = ts.from_pytorch(model, (x, torch.tensor([1, 2, 0])))
    assert torch.equal(tess(x, torch.tensor([0, 0, 0])), x[:0])
    with pytest.raises(RuntimeError, match="negative"):
        tess(x, torch.tensor([1, -1, 2]))


def test_sizes_are_forgotten_with_a_warning(monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setattr(staged, "MAX_SIZES", 2)
    model = Calling(SELECTIONS["mask"])
    tess = ts.from_pytorch(model, (masked_input(3),))
    with caplog.at_level(logging.WARNING, logger="tessera.dynamic"):
        for count in (4, 5, 6, 3):
            x = masked_input(count)
            assert torch.equal(tess(x), model(x))
    assert len(caplog.records) == 1
    assert len(tess._execution().program.executable.steps()) == 3


def test_verification_is_for_the_sizes_of_the_call() -> None:
    model = nn.Sequential(nn.Linear(6, 6), Calling(lambda x: x[x.sum(1) > 0]), nn.Linear(6, 3))
    tess = ts.from_pytorch(model, (masked_input(12),))
    result = tess.verify(masked_input(20))
    assert result
    assert len(result.modules) >= 2


def test_islands_of_stages_are_counted() -> None:
    tess = ts.from_pytorch(Calling(lambda x: foreign(x[x > 0])), (masked_input(5),))
    islands = tess.report.islands
    if islands:
        tess(masked_input(5))
        assert sum(island.calls for island in tess.report.islands) >= 1


def test_report_and_ir() -> None:
    tess = ts.from_pytorch(Calling(lambda x: F.gelu(x[x > 0]) * 2), (masked_input(5),), strict=True)
    assert tess.report.kernels
    assert "graph.scatter" in tess.ir("graph")
    assert tess.profile(masked_input(5)).timings["call"] > 0


def test_copies_and_modes() -> None:
    import copy

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.drop = nn.Linear(6, 4), nn.Dropout(0.5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.drop(self.fc(x[x.sum(1) > -2]))

    model = Model().eval()
    x = masked_input(12)
    tess = ts.from_pytorch(model, (x,), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(copy.deepcopy(tess)(x), model(x))
        tess.train()
        torch.manual_seed(3)
        first = tess(x)
        torch.manual_seed(3)
        assert torch.equal(first, tess(x))
        assert (first == 0).any()
        tess.eval()
        torch.testing.assert_close(tess(x), model(x))
        torch.testing.assert_close(tess(ts.from_torch(x)).torch(), model(x))
