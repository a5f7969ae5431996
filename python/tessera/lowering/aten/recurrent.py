# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Recurrent networks: LSTM, GRU and the simple ones, a step after the other.

What the input contributes is one product of matrices for all steps; only the product with the
state is made step by step. The steps are written out, and share their kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tessera.lowering.aten.contraction import linear
from tessera.lowering.aten.movement import permute_to, slice_along
from tessera.lowering.aten.movement_copy import join, stack
from tessera.lowering.aten.rules import BUILTINS, Arith, finish, opmath, rule
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported

State = tuple[GraphValue, ...]
#: One step: what the input contributes, the state before, the weights; the state behind it.
Cell = Callable[[LoweringContext, GraphValue, State, "Weights"], State]

#: Steps of all layers and directions that are written out.
MAX_STEPS = 4096


@dataclass(frozen=True)
class Weights:
    """The parameters of one layer in one direction."""

    input: GraphValue
    hidden: GraphValue
    input_bias: GraphValue | None = None
    hidden_bias: GraphValue | None = None
    projection: GraphValue | None = None


def _weights(params: Sequence[GraphValue], biases: bool, projects: bool) -> list[Weights]:
    count = 2 + 2 * biases + projects
    found = []
    for start in range(0, len(params), count):
        part = list(params[start : start + count])
        projection = part.pop() if projects else None
        bias = part[2:] if biases else [None, None]
        found.append(Weights(part[0], part[1], bias[0], bias[1], projection))
    return found


def _parts(ctx: LoweringContext, value: GraphValue, count: int) -> list[GraphValue]:
    size = value.shape[-1] // count
    last = value.ndim - 1
    return [slice_along(ctx, value, last, i * size, (i + 1) * size) for i in range(count)]


# --- cells -----------------------------------------------------------------------------------


def _lstm_cell(ctx: LoweringContext, x: GraphValue, state: State, weights: Weights) -> State:
    hidden, cell = state
    a = Arith(ctx, opmath(x.dtype))
    gates = a.add(
        ctx.cast(x, a.dtype),
        ctx.cast(linear(ctx, hidden, weights.hidden, weights.hidden_bias), a.dtype),
    )
    into, forget, candidate, out = _parts(ctx, gates, 4)
    kept = a.mul(a.unary("sigmoid", forget), ctx.cast(cell, a.dtype))
    added = a.mul(a.unary("sigmoid", into), a.unary("tanh", candidate))
    behind = a.add(kept, added)
    shown = a.mul(a.unary("sigmoid", out), a.unary("tanh", behind))
    result = finish(ctx, shown, hidden.dtype)
    if weights.projection is not None:
        result = linear(ctx, result, weights.projection)
    return result, finish(ctx, behind, cell.dtype)


def _gru_cell(ctx: LoweringContext, x: GraphValue, state: State, weights: Weights) -> State:
    (hidden,) = state
    a = Arith(ctx, opmath(x.dtype))
    from_input = _parts(ctx, ctx.cast(x, a.dtype), 3)
    product = ctx.cast(linear(ctx, hidden, weights.hidden, weights.hidden_bias), a.dtype)
    from_state = _parts(ctx, product, 3)
    reset = a.unary("sigmoid", a.add(from_input[0], from_state[0]))
    update = a.unary("sigmoid", a.add(from_input[1], from_state[1]))
    fresh = a.unary("tanh", a.add(from_input[2], a.mul(reset, from_state[2])))
    old = ctx.cast(hidden, a.dtype)
    return (finish(ctx, a.add(a.mul(a.sub(old, fresh), update), fresh), hidden.dtype),)


def _simple_cell(activation: str) -> Cell:
    def cell(ctx: LoweringContext, x: GraphValue, state: State, weights: Weights) -> State:
        (hidden,) = state
        a = Arith(ctx, opmath(x.dtype))
        total = a.add(
            ctx.cast(x, a.dtype),
            ctx.cast(linear(ctx, hidden, weights.hidden, weights.hidden_bias), a.dtype),
        )
        value = a.maximum(total, 0.0) if activation == "relu" else a.unary(activation, total)
        return (finish(ctx, value, hidden.dtype),)

    return cell


# --- layers ----------------------------------------------------------------------------------


def _layer(
    ctx: LoweringContext, cell: Cell, x: GraphValue, state: State, weights: Weights, reverse: bool
) -> tuple[GraphValue, State]:
    """One layer in one direction over x (steps, batch, features)."""
    projected = linear(ctx, x, weights.input, weights.input_bias)
    steps = x.shape[0]
    outputs: list[GraphValue] = []
    for step in reversed(range(steps)) if reverse else range(steps):
        now = slice_along(ctx, projected, 0, step, step + 1)
        state = cell(ctx, ctx.reshape(now, now.shape[1:]), state, weights)
        outputs.append(state[0])
    if reverse:
        outputs.reverse()
    return stack(ctx, outputs, 0), state


def _run(
    ctx: LoweringContext,
    cell: Cell,
    input: GraphValue,
    states: Sequence[GraphValue],
    weights: Sequence[Weights],
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[GraphValue, list[GraphValue]]:
    """All layers; the output of the last, and of each state its last values."""
    x = permute_to(ctx, input, [1, 0, 2]) if batch_first else input
    directions = 2 if bidirectional else 1
    steps, batch = x.shape[0], x.shape[1]
    if not steps or not batch or steps * len(weights) > MAX_STEPS:
        raise Unsupported(
            f"a recurrence of {steps} steps in {len(weights)} layers and directions is not "
            f"compiled (from 1 to {MAX_STEPS} in all)",
            "feed the sequence in shorter pieces",
            whole=True,
        )
    ends: list[State] = []
    for first in range(0, len(weights), directions):
        outputs = []
        for direction in range(directions):
            place = first + direction
            start = tuple(
                ctx.reshape(slice_along(ctx, state, 0, place, place + 1), state.shape[1:])
                for state in states
            )
            output, end = _layer(ctx, cell, x, start, weights[place], direction == 1)
            outputs.append(output)
            ends.append(end)
        x = outputs[0] if len(outputs) == 1 else join(ctx, outputs, 2)
        if train and dropout and first + directions < len(weights):
            x = BUILTINS["dropout.default"](ctx, x, dropout, train)
    last = [stack(ctx, [end[index] for end in ends], 0) for index in range(len(states))]
    return permute_to(ctx, x, [1, 0, 2]) if batch_first else x, last


@rule("lstm.input")
def lstm(
    ctx: LoweringContext,
    input: GraphValue,
    hx: Sequence[GraphValue],
    params: Sequence[GraphValue],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[GraphValue, GraphValue, GraphValue]:
    projects = hx[0].shape[-1] != hx[1].shape[-1]
    weights = _weights(params, has_biases, projects)
    output, (hidden, cell) = _run(
        ctx, _lstm_cell, input, hx, weights, dropout, train, bidirectional, batch_first
    )
    return output, hidden, cell


def _register(cell: Cell, *names: str) -> None:
    @rule(*names)
    def lower(
        ctx: LoweringContext,
        input: GraphValue,
        hx: GraphValue,
        params: Sequence[GraphValue],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[GraphValue, GraphValue]:
        weights = _weights(params, has_biases, False)
        output, (hidden,) = _run(
            ctx, cell, input, [hx], weights, dropout, train, bidirectional, batch_first
        )
        return output, hidden


_register(_gru_cell, "gru.input")
_register(_simple_cell("tanh"), "rnn_tanh.input")
_register(_simple_cell("relu"), "rnn_relu.input")


# --- single steps ----------------------------------------------------------------------------


@rule("lstm_cell")
def lstm_cell(
    ctx: LoweringContext,
    input: GraphValue,
    hx: Sequence[GraphValue],
    w_ih: GraphValue,
    w_hh: GraphValue,
    b_ih: GraphValue | None = None,
    b_hh: GraphValue | None = None,
) -> State:
    weights = Weights(w_ih, w_hh, b_ih, b_hh)
    return _lstm_cell(ctx, linear(ctx, input, w_ih, b_ih), tuple(hx), weights)


def _register_cell(cell: Cell, name: str) -> None:
    @rule(name)
    def lower(
        ctx: LoweringContext,
        input: GraphValue,
        hx: GraphValue,
        w_ih: GraphValue,
        w_hh: GraphValue,
        b_ih: GraphValue | None = None,
        b_hh: GraphValue | None = None,
    ) -> GraphValue:
        weights = Weights(w_ih, w_hh, b_ih, b_hh)
        return cell(ctx, linear(ctx, input, w_ih, b_ih), (hx,), weights)[0]


_register_cell(_gru_cell, "gru_cell")
_register_cell(_simple_cell("tanh"), "rnn_tanh_cell")
_register_cell(_simple_cell("relu"), "rnn_relu_cell")
