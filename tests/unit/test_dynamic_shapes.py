# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""dynamic_shapes=: one conversion for every size in range, and a clear error outside of it."""

from __future__ import annotations

import copy
import numbers
import pickle
import re
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from calling import Calling
from models import kept
from torch import nn
from torch.export import Dim

import tessera as ts
from tessera import sizes
from tessera.errors import ArgumentError, ArgumentTypeError, CaptureError, InputMismatchError


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(40, 8)
        self.linear, self.norm = nn.Linear(8, 24), nn.LayerNorm(8)

    def forward(self, x: torch.Tensor, scale: torch.Tensor | None = None) -> tuple[Any, ...]:
        h = self.norm(x) + self.embed(torch.arange(x.shape[1]))
        q, k, v = self.linear(h).chunk(3, dim=-1)
        h = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        if scale is not None:
            h = h * scale[:, None, None]
        return h, h.reshape(-1, 8).softmax(0), x.shape[0] * 2, h.mean(1), x[:, :2]


class Two(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return torch.cat([x + y, z])


def same(tess: Any, model: nn.Module, *args: Any, **kwargs: Any) -> None:
    with torch.no_grad():
        result, expected = tess(*args, **kwargs), model(*args, **kwargs)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-5)


BATCH, SEQ = Dim("batch", max=12), Dim("seq", max=40)


def converted(model: nn.Module, **options: Any) -> Any:
    options.setdefault("dynamic_shapes", {"x": {0: BATCH, 1: SEQ}})
    return ts.from_pytorch(model, example_inputs=(torch.randn(4, 16, 8),), **options)


def test_sizes() -> None:
    model = Small().eval()
    tess = converted(model, strict=True)
    for batch, seq in [(4, 16), (3, 17), (12, 40), (2, 2), (1, 5), (5, 1), (3, 17), (4, 16)]:
        same(tess, model, torch.randn(batch, seq, 8))
    same(tess, model, torch.randn(8, 3, 17).permute(1, 2, 0))


def test_captured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tess = converted(Small().eval())

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("captured again")

    monkeypatch.setattr(torch.export, "export", refuse)
    for batch in (2, 3, 9):
        tess(torch.randn(batch, 11, 8))


@pytest.mark.parametrize(
    ("shape", "dtype", "text"),
    [
        ((13, 4, 8), torch.float32, "dimension 0 is 13, outside of the range of 'batch', 0…12"),
        ((4, 41, 8), torch.float32, "dimension 1 is 41, outside of the range of 'seq', 0…40"),
        ((4, 4, 9), torch.float32, "dimension 2 is 9; it is not annotated"),
        ((4, 8), torch.float32, "expected 3 dimensions"),
        ((4, 4, 8), torch.float64, "expected 3 dimensions of torch.float32"),
    ],
)
def test_outside(shape: tuple[int, ...], dtype: torch.dtype, text: str) -> None:
    tess = converted(Small().eval())
    with pytest.raises(InputMismatchError, match=text):
        tess(torch.randn(shape, dtype=dtype))
    same(tess, tess._torch, torch.randn(2, 3, 8))


def test_sizes_that_must_agree() -> None:
    shapes = {"x": {0: BATCH}, "y": {0: BATCH}, "z": {0: 2 * BATCH + 1}}
    examples = (torch.randn(3, 4), torch.randn(3, 4), torch.randn(7, 4))
    tess = ts.from_pytorch(Two(), example_inputs=examples, dynamic_shapes=shapes)
    for module in (tess, pickle.loads(pickle.dumps(tess)), copy.deepcopy(tess)):
        same(module, Two(), torch.randn(5, 4), torch.randn(5, 4), torch.randn(11, 4))
        with pytest.raises(InputMismatchError, match="'batch' is 5 in dimension 0"):
            module(torch.randn(5, 4), torch.randn(6, 4), torch.randn(11, 4))
        with pytest.raises(InputMismatchError, match="declared as"):
            module(torch.randn(5, 4), torch.randn(5, 4), torch.randn(12, 4))


def test_branch_on_a_size() -> None:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2 if x.shape[0] > 5 else x.sum(0)

    tess = ts.from_pytorch(
        Branch(), example_inputs=(torch.randn(3, 4),), dynamic_shapes={"x": {0: Dim("n", max=9)}}
    )
    for size in (2, 5, 6, 9, 1):
        same(tess, Branch(), torch.randn(size, 4))


def test_hints_positions_and_pytrees() -> None:
    class Tree(nn.Module):
        def forward(self, batch: dict[str, Any], *, add: torch.Tensor) -> dict[str, Any]:
            return {"sum": batch["a"] @ batch["b"][0] + add, "n": batch["a"].shape[0]}

    args = ({"a": torch.randn(3, 4), "b": [torch.randn(4, 5)]},)
    tess = ts.from_pytorch(
        Tree(),
        example_inputs=args,
        example_kwargs={"add": torch.randn(5)},
        dynamic_shapes={
            "batch": {"a": (Dim.DYNAMIC, None), "b": [{1: Dim.AUTO}]},
            "add": {0: Dim.AUTO},
        },
    )
    for rows, columns in [(3, 5), (7, 9), (2, 3)]:
        batch = {"a": torch.randn(rows, 4), "b": [torch.randn(4, columns)]}
        same(tess, Tree(), batch, add=torch.randn(columns))


def test_by_position() -> None:
    shapes = ({0: BATCH}, {0: BATCH}, {0: BATCH})
    examples = tuple(torch.randn(3, 4) for _ in shapes)
    tess = ts.from_pytorch(Two(), example_inputs=examples, dynamic_shapes=shapes)
    same(tess, Two(), *(torch.randn(7, 4) for _ in shapes))
    tess = ts.from_pytorch(Two(), example_inputs=examples, dynamic_shapes=(None, None, {0: BATCH}))
    same(tess, Two(), torch.randn(3, 4), torch.randn(3, 4), torch.randn(8, 4))
    with pytest.raises(ArgumentError, match="4 entries for an example of 3 arguments"):
        ts.from_pytorch(Two(), example_inputs=examples, dynamic_shapes=(*shapes, None))


def test_buffers_islands_and_modes() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(4)
            self.register_buffer("rows", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.rows += x.shape[0]
            return kept(self.norm(x)) + self.rows

    model = Counting().eval()
    tess = ts.from_pytorch(
        copy.deepcopy(model),
        example_inputs=(torch.randn(6, 4),),
        dynamic_shapes={"x": {0: Dim("n", min=5, max=50)}},
    )
    for size in (6, 9, 33):
        same(tess, model, torch.randn(size, 4))
    assert tess.report.islands


def test_wrong_annotations() -> None:
    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(4, -1)

    x = torch.randn(4, 4)

    def convert(shapes: Any) -> None:
        ts.from_pytorch(Fixed(), example_inputs=(x,), dynamic_shapes=shapes)

    with pytest.raises(ArgumentError, match="names 'y', which is no argument"):
        convert({"y": {0: BATCH}})
    with pytest.raises(ArgumentError, match="names dimension 5"):
        convert({"x": {5: BATCH}})
    with pytest.raises(ArgumentError, match="has 3 entries"):
        convert({"x": (None, BATCH, None)})
    with pytest.raises(ArgumentTypeError, match="must be a dict by argument name"):
        convert(BATCH)
    with pytest.raises(ArgumentTypeError, match="Dim"):
        convert({"x": {0: "batch"}})


def test_two_threads_meet_new_sizes() -> None:
    model = Small().eval()
    tess = converted(model)
    errors: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for seq in range(first, 12, 2):
                same(tess, model, torch.randn(3, seq, 8))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_threads_meet_new_sizes_while_many_are_known() -> None:
    tess = ts.compat.wrap(nn.Linear(3, 3).eval())
    for rows in (2, 3):
        tess(torch.randn(rows, 3))
    known = tess._programs
    made = next(reversed(known.values()))
    known.update(dict.fromkeys(range(50000), made))
    errors: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for rows in range(first, first + 15):
                tess(torch.randn(rows, 3))
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(first,)) for first in (100, 200, 300)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not errors


class Product(nn.Module):
    def __init__(self, depth: int) -> None:
        super().__init__()
        self.linear = nn.Linear(depth, 40)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(self.linear(x)) + x[:, :1]


class Attention(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x.unflatten(-1, (2, -1)).transpose(1, 2)
        mask = None
        if self.kind == "mask":
            places = torch.arange(x.shape[1])
            mask = places[None, :] <= places[:, None] + 1
        causal = self.kind == "causal"
        h = F.scaled_dot_product_attention(h, h * 0.5, h + 1, attn_mask=mask, is_causal=causal)
        return h.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("depth", [32, 4096, 9000])
def test_products_of_any_height(depth: int) -> None:
    model = Product(depth).eval()
    tess = ts.from_pytorch(
        model,
        example_inputs=(torch.randn(16, depth),),
        dynamic_shapes=({0: Dim("rows", max=999)},),
        strict=True,
    )
    for rows in (2, 7, 8, 9, 15, 17, 24, 63, 65, 100, 129):
        x = torch.randn(rows, depth)
        with torch.no_grad():
            expected = model.double()(x.double()).float()
            model.float()
            torch.testing.assert_close(tess(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", [nn.Linear(32, 40), Attention("plain")])
def test_little_is_computed_twice(model: nn.Module) -> None:
    """Strips of rows cover some rows again; for few rows they have the height that fits."""
    tess = ts.from_pytorch(
        model.eval(),
        example_inputs=(torch.randn(2, 48, 32),),
        dynamic_shapes=({1: Dim("rows", max=99)},),
    )
    for rows in (17, 33):
        tess(torch.randn(2, rows, 32))
        heights = [int(found) for found in re.findall(r"mr = (\d+)", tess.ir("schedule"))]
        assert heights
        for height in heights:
            count = 2 * rows if isinstance(model, nn.Linear) else rows
            strips = -(-count // height)
            assert strips * height - count < strips


@pytest.mark.parametrize("kind", ["plain", "causal", "mask"])
def test_attention_of_any_length(kind: str) -> None:
    model = Attention(kind)
    tess = ts.from_pytorch(
        model,
        example_inputs=(torch.randn(2, 16, 32),),
        dynamic_shapes=({1: Dim("length", max=999)},),
        strict=True,
    )
    for length in (2, 5, 8, 9, 31, 32, 33, 50, 64, 65, 100, 200):
        same(tess, model, torch.randn(2, length, 32))


def test_code_for_one_size_serves_the_others_too() -> None:
    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(4, -1) * float(x.shape[0]) ** 0.5

    tess = ts.from_pytorch(
        Fixed(), example_inputs=(torch.randn(4, 4),), dynamic_shapes=({0: Dim("n", max=20)},)
    )
    for size in (4, 8, 12, 3):
        same(tess, Fixed(), torch.randn(size, 4))


def test_equal_parameters_are_not_tied() -> None:
    model = nn.Sequential(nn.BatchNorm1d(5), nn.GELU()).train()
    with torch.no_grad():
        model[0].weight.copy_(torch.linspace(1, 4, 5))
        model[0].bias.copy_(torch.linspace(10, 40, 5))
    tess = ts.from_pytorch(
        copy.deepcopy(model),
        example_inputs=(torch.randn(6, 5),),
        dynamic_shapes=({0: Dim("n", min=2, max=50)},),
    )
    for size in (6, 9, 33):
        same(tess, model, torch.randn(size, 5))
    torch.testing.assert_close(tess.state_dict(), model.state_dict())


def test_a_changed_model_at_a_new_size() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 4)).eval()
    tess = ts.from_pytorch(
        model, example_inputs=(torch.randn(3, 4),), dynamic_shapes=({0: Dim("n", max=50)},)
    )
    same(tess, model, torch.randn(9, 4))
    model[1] = nn.Tanh()
    same(tess, model, torch.randn(20, 4))
    with torch.no_grad():
        model[0].weight.add_(1)
    same(tess, model, torch.randn(21, 4))
    model[0].weight.data.mul_(3)
    tess.refresh()
    for size in (22, 9, 20):
        same(tess, model, torch.randn(size, 4))
    model[2].weight.data = torch.randn(4, 4)
    same(tess, model, torch.randn(23, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, fused=True)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    same(tess, model, torch.randn(24, 4))


class Difference(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x - 2 * y


@pytest.mark.parametrize("rows", [1, 5])
def test_keywords_in_another_order(rows: int) -> None:
    tess = ts.from_pytorch(
        Difference(),
        example_inputs=(torch.randn(4, 3), torch.randn(4, 3)),
        dynamic_shapes={"x": {0: Dim.AUTO}, "y": {0: Dim.AUTO}},
    )
    same(tess, Difference(), y=torch.randn(rows, 3), x=torch.randn(rows, 3))


class Captures:
    """Counts what torch.export captures, other than to check a capture for many sizes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        export, check = torch.export.export, sizes.require_numbers_do

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return export(*args, **kwargs)

        def uncounted(*args: Any) -> None:
            before = self.count
            check(*args)
            self.count = before

        monkeypatch.setattr(torch.export, "export", counted)
        monkeypatch.setattr(sizes, "require_numbers_do", uncounted)


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> Captures:
    return Captures(monkeypatch)


def test_sizes_of_one_are_captured_once(captures: Captures) -> None:
    model = Small().eval()
    tess = converted(model, strict=True)
    assert captures.count == 1
    for seq in (16, 5, 33, 7):
        same(tess, model, torch.randn(1, seq, 8))
    assert captures.count == 2
    for batch in (3, 4):
        same(tess, model, torch.randn(batch, 1, 8))
    assert captures.count == 3


def test_each_side_of_a_branch_is_captured_once(captures: Captures) -> None:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2 if x.shape[0] > 5 else x.sum(0)

    tess = ts.from_pytorch(
        Branch(), example_inputs=(torch.randn(3, 4),), dynamic_shapes={"x": {0: Dim.AUTO}}
    )
    for size in (6, 2, 9, 3, 30, 4):
        same(tess, Branch(), torch.randn(size, 4))
    assert captures.count == 2


# --- sizes that turn out to change --------------------------------------------------------------


def test_seen_sizes_become_dynamic(captures: Captures) -> None:
    model = Small().eval()
    tess = ts.compat.wrap(model, allow_fallback=False, max_signatures=2)
    for batch, seq in [(4, 16), (4, 9), (4, 20), (4, 33), (4, 16)]:
        same(tess, model, torch.randn(batch, seq, 8))
    assert captures.count == 2
    # Other dimensions than before, of which the captures know nothing.
    for batch, seq in [(3, 9), (7, 40), (2, 3), (1, 5), (1, 6), (5, 1), (1, 1)]:
        same(tess, model, torch.randn(batch, seq, 8))
    assert captures.count == 6
    # The first call and the one of sizes 1 have forms of their own.
    with pytest.raises(ArgumentError, match="more than 2 forms"):
        tess(torch.randn(2, 2, 8).double())


def test_seen_sizes_that_capture_fixes() -> None:
    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.view(4, -1) * float(x.shape[0]) ** 0.5

    tess = ts.compat.wrap(Fixed(), allow_fallback=False)
    for size in (4, 8, 12, 3, 20, 24, 28, 1, 32):
        same(tess, Fixed(), torch.randn(size, 4))


class Filtering(nn.Module):
    """Control flow on data, so that its children are compiled on their own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        if h.sum() > 1e9:
            return h
        kept = torch.stack([row for row in h if float(row[0]) > 0])
        return self.second(kept)


def test_children_of_a_hybrid_are_not_captured_for_each_size(captures: Captures) -> None:
    torch.manual_seed(0)
    model = Filtering().eval()
    tess = ts.from_pytorch(model, example_inputs=(torch.randn(60, 8),))
    for _ in range(3):
        same(tess, model, torch.randn(60, 8))
    before = captures.count
    for _ in range(5):
        same(tess, model, torch.randn(60, 8))
    assert captures.count == before


class Grown:
    """A key-value cache in little."""

    def __init__(self) -> None:
        self.keys: torch.Tensor | None = None

    def update(self, keys: torch.Tensor) -> torch.Tensor:
        self.keys = keys if self.keys is None else torch.cat([self.keys, keys], 1)
        return self.keys


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor, cache: Grown) -> torch.Tensor:
        keys = cache.update(self.linear(x))
        return F.scaled_dot_product_attention(x, keys, keys)


def decoded(
    model: nn.Module, tess: Any, ours: Grown, theirs: Grown, lengths: list[int]
) -> Iterator[int]:
    """Calls of both with caches of their own, compared; the steps."""
    for step, length in enumerate(lengths):
        x = torch.randn(2, length, 8)
        with torch.no_grad():
            torch.testing.assert_close(tess(x, ours), model(x, theirs))
        torch.testing.assert_close(ours.keys, theirs.keys)
        yield step


def test_a_growing_cache(captures: Captures) -> None:
    model = Decoder().eval()
    tess = ts.compat.wrap(model, allow_fallback=False)
    for _ in decoded(model, tess, Grown(), Grown(), [6, *[1] * 11]):
        pass
    # Without a cache, with one, and for any length.
    assert captures.count == 3


class Counted(Grown):
    """One that counts, and keeps the last 8 keys only."""

    def __init__(self) -> None:
        super().__init__()
        self.length = 0

    def update(self, keys: torch.Tensor) -> torch.Tensor:
        self.length += keys.shape[1]
        found = super().update(keys) * self.length
        self.keys = None if self.keys is None else self.keys[:, -8:]
        return found


def test_a_cache_that_counts(captures: Captures) -> None:
    model = Decoder().eval()
    tess = ts.compat.wrap(model, allow_fallback=False)
    ours, theirs = Counted(), Counted()
    for step in decoded(model, tess, ours, theirs, [3, *[1] * 8]):
        assert (ours.length, type(ours.length)) == (theirs.length, int)
        if step == 4:  # the number is the size of the keys, and nothing is dropped
            assert captures.count == 3


def test_numbers_that_only_sometimes_are_sizes(captures: Captures) -> None:
    class Times(nn.Module):
        def forward(self, x: torch.Tensor, n: int) -> torch.Tensor:
            return x * n + x.shape[0]

    tess = ts.compat.wrap(Times(), allow_fallback=False)
    for rows, number in [(3, 3), (4, 4), (5, 5), (6, 6), (5, 3), (4, 7), (3, 5), (8, 8), (9, 3)]:
        same(tess, Times(), torch.randn(rows, 2), number)
    assert captures.count == 6


def _asks_shape(x: torch.Tensor) -> torch.Tensor:
    return x + 1 if isinstance(x.shape[0], int) else x - 1


def _asks_size(x: torch.Tensor) -> torch.Tensor:
    rows, _ = x.size()
    return x + 1 if type(rows) is int else x - 1


def _asks_half(x: torch.Tensor) -> torch.Tensor:
    return x + 1 if isinstance(x.shape[0] / 2, float) else x - 1


def _asks_comparison(x: torch.Tensor) -> torch.Tensor:
    return x + 1 if (x.shape[0] > 2) is True else x - 1


def _asks_text(x: torch.Tensor) -> torch.Tensor:
    return x + len(str(x.shape[0])) + len(f"{x.shape[0]}")


def _is_number(size: Any) -> bool:
    return isinstance(size, numbers.Number)


def _asks_elsewhere(x: torch.Tensor) -> torch.Tensor:
    return x + 1 if _is_number(x.shape[0]) else x - 1


def _asks_for_constants(x: torch.Tensor) -> torch.Tensor:
    return x + torch.tensor([1.0, 2.0] if _is_number(x.shape[0]) else [3.0, 4.0])


_ASKING = [
    _asks_shape,
    _asks_size,
    _asks_half,
    _asks_comparison,
    _asks_text,
    _asks_elsewhere,
    _asks_for_constants,
]


@pytest.mark.parametrize("function", _ASKING)
def test_asking_what_kind_of_number_a_size_is(function: Any) -> None:
    """A size that may change is a symbol while it is captured, and no int."""
    annotated = (({0: Dim("rows")},),)
    example = (torch.ones(4, 2),)
    sized = ts.from_pytorch(Calling(function), example, dynamic_shapes=annotated)
    wrapped = ts.compat.wrap(Calling(function))
    for rows in (4, 5, 6, 12, 4):
        x = torch.randn(rows, 2)
        assert torch.equal(wrapped(x), function(x))
        assert torch.equal(sized(x), function(x))
    with pytest.raises(CaptureError, match="depends on whether a size is a number"):
        ts.from_pytorch(Calling(function), example, dynamic_shapes=annotated, strict=True)


def test_numbers_among_the_arguments_are_numbers() -> None:
    """Also where they are sizes, and a helper of the model asks what they are."""

    class Pool(nn.Module):
        def forward(self, x: torch.Tensor, size: int) -> torch.Tensor:
            pair = (size, size) if isinstance(size, int) else (1, 1)
            return F.adaptive_avg_pool2d(x, pair)

    tess = ts.compat.wrap(Pool())
    for rows in (8, 16, 24, 32):
        same(tess, Pool(), torch.randn(1, 1, rows, 8), rows)


@pytest.mark.parametrize("function", [lambda n: 2**n, lambda n: 1 << n])
def test_a_power_of_a_size(function: Any) -> None:
    """The code is prepared for larger sizes than the call's, where that is no number any more."""

    class Power(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * function(x.shape[0])

    tess = ts.compat.wrap(Power())
    for rows in (3, 5, 7, 40):
        same(tess, Power(), torch.randn(rows, 2))
