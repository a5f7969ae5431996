# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Functions that look at data on their way: compiled where the shape does not depend on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from calling import Calling
from torch import Tensor, nn
from torch.nn import functional

import tessera as ts
from tessera.errors import TesseraError


def _check(function: Callable[..., Any], *given: Tensor) -> None:
    """Strictly, on what it was converted with and on other numbers."""
    converted = ts.from_pytorch(Calling(function), given, strict=True)
    wanted = function(*(item.clone() for item in given))
    torch.testing.assert_close(converted(*(item.clone() for item in given)), wanted)


X = torch.linspace(-2, 3, 24).reshape(2, 3, 4).sin()
M = X[0]


@pytest.mark.filterwarnings("ignore:cov")
@pytest.mark.parametrize("correction", [0, 1, 4])
def test_covariance(correction: int) -> None:
    counts, weights = torch.tensor([1, 2, 0, 3]), torch.tensor([0.5, 0.1, 2.0, 1.0])
    _check(lambda x: torch.cov(x, correction=correction), M)
    _check(lambda x, f, a: x.cov(correction=correction, fweights=f, aweights=a), M, counts, weights)
    _check(lambda x, a: torch.cov(x[0], aweights=a), M, weights)
    _check(torch.corrcoef, M)
    _check(torch.corrcoef, torch.arange(12).reshape(3, 4) % 5)


def test_weights_that_pytorch_refuses_give_nan() -> None:
    converted = ts.from_pytorch(
        Calling(lambda x, w: torch.cov(x, aweights=w)), (M, torch.ones(4)), strict=True
    )
    assert converted(M, -torch.ones(4)).isnan().all()


@pytest.mark.parametrize("r", [1, 2, 3, 5])
def test_combinations(r: int) -> None:
    _check(lambda x: torch.combinations(x, r), M[0])
    _check(lambda x: torch.combinations(x, r, with_replacement=True), M[0])


def test_selection_of_what_broadcasts() -> None:
    _check(lambda x, mask: x.masked_select(mask), M[0], M > -0.5)
    _check(lambda x, mask: torch.masked_select(x, mask), M, M[0] < 0.5)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_gaussian_loss(reduction: str) -> None:
    def loss(x: Tensor, y: Tensor, variance: Tensor) -> Tensor:
        return functional.gaussian_nll_loss(x, y, variance, full=True, reduction=reduction)

    variance = M.abs() + 0.1
    for given in (variance, variance[:, 0], variance[:, :1]):
        _check(loss, M, M + 1, given)
    converted = ts.from_pytorch(Calling(loss), (M, M, variance), strict=True)
    assert converted(M, M, -variance).isnan().all()


def test_a_loss_in_chunks() -> None:
    options = nn.LinearCrossEntropyOptions(batch_chunk_size=2)
    target = torch.tensor([1, 0, 2])
    for reduction in ("mean", "none"):
        _check(
            lambda x, w, t, reduction=reduction: functional.linear_cross_entropy(
                x, w, t, reduction=reduction, options=options
            ),
            M,
            X[1],
            target,
        )


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_the_margin_loss_of_one_sample(reduction: str) -> None:
    def loss(x: Tensor, y: Tensor) -> Tensor:
        return functional.multilabel_margin_loss(x, y, reduction=reduction)

    _check(loss, M[0], torch.tensor([1, 0, -1, 2]))


def test_comparisons_that_give_a_bool() -> None:
    def compared(x: Tensor, y: Tensor) -> Any:
        return torch.equal(x, y), torch.allclose(x, y), torch.allclose(x, y, rtol=0.1), x + 1

    converted = ts.from_pytorch(Calling(compared), (M, M), strict=True)
    for other in (M, M * 1.01, M + 1):
        got, wanted = converted(M, other), compared(M, other)
        assert got[:3] == wanted[:3]
        assert all(type(item) is bool for item in got[:3])


def test_masks_of_transformers_are_not_looked_at() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    model = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).eval()
    causal = nn.Transformer.generate_square_subsequent_mask(3)
    detect = nn.modules.transformer._detect_is_causal_mask
    with torch.no_grad():
        converted = ts.from_pytorch(model, (X,), example_kwargs={"mask": causal}, strict=True)
        for mask in (causal, torch.zeros(3, 3)):
            torch.testing.assert_close(converted(X, mask=mask), model(X, mask=mask))
    assert nn.modules.transformer._detect_is_causal_mask is detect


def test_the_mean_of_all_batches() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(3, 5, 2), nn.BatchNorm1d(5, momentum=None)).train()
    other = nn.Sequential(nn.Conv1d(3, 5, 2), nn.BatchNorm1d(5, momentum=None)).train()
    other.load_state_dict(model.state_dict())
    converted = ts.from_pytorch(model, (X,), strict=True)
    with torch.no_grad():
        for step in range(3):
            torch.testing.assert_close(converted(X + step), other(X + step))
    for ours, theirs in zip(model.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)


def _changed(change: Callable[[Tensor, Tensor], None]) -> Callable[[Tensor, Tensor], Tensor]:
    def function(x: Tensor, i: Tensor) -> Tensor:
        x = x.clone()
        change(x, i)
        return x

    return function


def _write(x: Tensor, i: Tensor) -> None:
    x[:, i] = x[:, 0] * 2
    x[i, 1:] = 3
    x[..., i] += 1
    x[i, :, i] = 2.5


@pytest.mark.parametrize("index", [torch.tensor(1), torch.tensor(-1, dtype=torch.int32)])
def test_an_index_in_a_tensor(index: Tensor) -> None:
    parts: list[Callable[[Tensor, Tensor], Tensor]] = [
        lambda x, i: x[i],
        lambda x, i: x[:, i, 1:],
        lambda x, i: x[..., i],
        lambda x, i: x[i, None, :, i],
        lambda x, i: x.narrow(2, i.abs() - 3, 2),
    ]
    for part in parts:
        _check(part, X, index)
    _check(_changed(_write), X, index)


def test_an_index_in_a_tensor_out_of_range() -> None:
    converted = ts.from_pytorch(Calling(lambda x, i: x[i]), (X, torch.tensor(1)), strict=True)
    with pytest.raises(IndexError):
        converted(X, torch.tensor(2))


def _write_to_part(x: Tensor, i: Tensor) -> Tensor:
    x = x.clone()
    x[i].add_(1)
    return x


def _write_before_use(x: Tensor, i: Tensor) -> Tensor:
    x = x.clone()
    part = x[i]
    x.mul_(2)
    return part + 1


@pytest.mark.parametrize("function", [_write_to_part, _write_before_use])
def test_a_part_whose_memory_matters_stays_in_pytorch(function: Callable[..., Tensor]) -> None:
    given = (X, torch.tensor(1))
    with pytest.raises(TesseraError, match="an index in a tensor"):
        ts.from_pytorch(Calling(function), given, strict=True)
    torch.testing.assert_close(ts.from_pytorch(Calling(function), given)(*given), function(*given))


@pytest.mark.parametrize("window", ["hamming", "bartlett", "blackman", "kaiser"])
def test_tables_are_computed_while_importing(window: str) -> None:
    make = getattr(torch, f"{window}_window")
    _check(lambda x: x * make(4, periodic=False), M)


@pytest.mark.parametrize("driver", [None, "gels", "gelsy", "gelss", "gelsd"])
@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (6, 3), (2, 6, 3), (2, 3, 3)])
def test_least_squares(driver: str | None, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    given = torch.randn(shape, dtype=torch.float64)
    right = torch.randn((*shape[:-1], 2), dtype=torch.float64)
    if driver in ("gelss", "gelsd") and shape[-2] > shape[-1]:
        # How many residuals there are depends on the rank.
        with pytest.raises(TesseraError, match="lstsq"):
            _check(lambda a, b: torch.linalg.lstsq(a, b, driver=driver), given, right)
        return
    _check(lambda a, b: torch.linalg.lstsq(a, b, driver=driver), given, right)
    _check(lambda a, b: torch.linalg.lstsq(a, b[..., 0], driver=driver), given, right)


def test_least_squares_of_a_matrix_without_full_rank() -> None:
    given = torch.outer(torch.arange(1.0, 6), torch.arange(1.0, 4)).double()
    _check(lambda a, b: torch.linalg.lstsq(a, b), given, torch.ones(5, 1).double())
    converted = ts.from_pytorch(
        Calling(lambda a, b: torch.linalg.lstsq(a, b, rcond=0.5)), (given, given), strict=True
    )
    assert int(converted(given, given).rank) == 1


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("blank", [0, 4])
def test_ctc_loss(reduction: str, zero_infinity: bool, blank: int) -> None:
    torch.manual_seed(blank)
    scores = torch.randn(12, 3, 5, dtype=torch.float64).log_softmax(-1)
    labels = torch.tensor([[1, 1, 2, 3], [3, 2, 3, 3], [1, 2, 1, 2]])
    durations, lengths = torch.tensor([12, 9, 4]), torch.tensor([3, 4, 0])
    options: Any = {"reduction": reduction, "zero_infinity": zero_infinity, "blank": blank}

    def loss(p: Tensor, t: Tensor, i: Tensor, n: Tensor) -> Tensor:
        return functional.ctc_loss(p, t, i, n, **options)

    _check(loss, scores, labels, durations, lengths)
    # Too short for its labels, and at most one frame.
    _check(loss, scores, labels, torch.tensor([3, 4, 1]), torch.tensor([3, 4, 2]))
    _check(loss, scores, torch.cat([labels[0, :3], labels[1]]), durations, lengths)
    _check(
        lambda p, t: functional.ctc_loss(p, t, (12, 9, 4), (3, 4, 1), **options),
        scores,
        labels.reshape(-1)[:8],
    )
    _check(
        lambda p, t, i, n: nn.CTCLoss(**options)(p, t, i, n),
        scores[:, 0],
        labels[0, :3],
        durations[0],
        lengths[0],
    )


def test_data_of_a_tensor() -> None:
    _check(lambda x: x.data * 2 + x, M)

    def write(x: Tensor) -> Tensor:
        y = x * 2
        y.data.add_(1)
        return y + 1

    _check(write, M)
