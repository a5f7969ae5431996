# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Functions of PyTorch that solve something, written as operators a capture can follow; see
traceable.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

#: Time steps of a ctc_loss that are laid out one after another.
MAX_STEPS = 256


def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """torch.linalg.lstsq by singular values, whatever the driver.

    Not where the residuals' shape depends on the rank of the matrix: of more rows than columns
    by gelss and gelsd.
    """
    driver = driver or "gelsy"
    rows, columns = A.shape[-2:]
    by_values = driver in ("gelss", "gelsd")
    if A.is_complex() or not A.numel() or not B.numel() or (by_values and rows > columns):
        return NotImplemented
    is_vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    right = B.unsqueeze(-1) if is_vector else B
    left, values, adjoint = torch.linalg.svd(A, full_matrices=False)
    if driver == "gels":  # which takes the rank to be full
        inverse = 1 / values
    else:
        relative = torch.finfo(A.dtype).eps * max(rows, columns) if rcond is None else rcond
        kept = values > relative * values[..., :1]
        inverse = torch.where(kept, 1 / values, 0.0)
    solution = adjoint.mT @ (inverse.unsqueeze(-1) * (left.mT @ right))
    residuals = A.new_empty(0)
    if driver == "gels" and rows > columns:
        residuals = (A @ solution - right).square().sum(-2)
    rank = torch.empty(0, dtype=torch.int64) if driver == "gels" else kept.sum(-1)
    parts = (
        solution.squeeze(-1) if is_vector else solution,
        residuals,
        rank,
        values if by_values else A.new_empty(0),
    )
    return torch.return_types.linalg_lstsq(parts)  # type: ignore[attr-defined]


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """torch.nn.functional.ctc_loss by the recursion over time, step after step."""
    if log_probs.ndim not in (2, 3) or log_probs.shape[0] > MAX_STEPS or not log_probs.numel():
        return NotImplemented
    batched = log_probs.ndim == 3
    given = log_probs if batched else log_probs.unsqueeze(1)
    steps, count, _ = given.shape
    lengths = torch.as_tensor(target_lengths).reshape(-1).to(torch.int64)
    durations = torch.as_tensor(input_lengths).reshape(-1).to(torch.int64)
    if lengths.shape != (count,) or durations.shape != (count,) or not targets.numel():
        return NotImplemented
    labels = targets if targets.ndim == 2 else _in_rows(targets, lengths, target_lengths)
    labels = labels.to(torch.int64)

    # Each label stands between two blanks.
    size = labels.shape[1]
    extended = functional.pad(labels.unsqueeze(-1), (1, 0), value=blank).reshape(count, 2 * size)
    extended = functional.pad(extended, (0, 1), value=blank)
    scores = given.gather(2, extended.expand(steps, count, 2 * size + 1))
    # A blank may be left out between two labels that differ.
    may_skip = functional.pad(
        (extended[:, 2:] != extended[:, :-2]) & (extended[:, 2:] != blank), (2, 0), value=False
    )
    places = torch.arange(2 * size + 1)
    none = -torch.inf
    known = (places < 2) & ((places == 0) | (lengths > 0).unsqueeze(1))
    alpha = torch.where(known, scores[0], none)
    for step in range(1, steps):
        before = functional.pad(alpha, (1, 0), value=none)[:, :-1]
        skipped = functional.pad(alpha, (2, 0), value=none)[:, :-2]
        ways = torch.logaddexp(alpha, before)
        ways = torch.logaddexp(ways, torch.where(may_skip, skipped, none)) + scores[step]
        alpha = torch.where((durations > step).unsqueeze(1), ways, alpha)
    ends = (places == 2 * lengths.unsqueeze(1)) | (places == 2 * lengths.unsqueeze(1) - 1)
    loss = -torch.where(ends, alpha, none).logsumexp(1)
    # Without a step there is nothing but an empty target.
    loss = torch.where(durations > 0, loss, torch.where(lengths == 0, 0.0, torch.inf))
    if zero_infinity:
        loss = torch.where(loss == torch.inf, 0.0, loss)
    if reduction == "mean":
        return (loss / lengths.clamp(min=1).to(loss.dtype)).mean()
    if reduction == "sum":
        return loss.sum()
    return loss if batched else loss.squeeze(0)


def _in_rows(targets: Tensor, lengths: Tensor, given: Tensor | Sequence[int]) -> Tensor:
    """Targets that stand one after another, each in a row of its own."""
    flat = targets.reshape(-1)
    longest = flat.shape[0] if isinstance(given, Tensor) else max(max(given), 1)
    places = (lengths.cumsum(0) - lengths).unsqueeze(1) + torch.arange(longest)
    return flat[places.clamp(max=flat.shape[0] - 1)]
