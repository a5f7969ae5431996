# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ts.ops and ts.nn: on ts.Tensor they run, inside a lowering they build."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from graph_reference import ReferenceBuilder
from harness import values
from torch import Tensor
from torch.utils import _pytree as pytree

import tessera as ts
from tessera import nn, ops
from tessera.lowering.aten.rules import BUILTINS
from tessera.lowering.context import GraphValue, LoweringContext
from tessera.ops import _eager

X, Y = values(4, 6), values(6, seed=1)
W, B = values(5, 6, seed=2), values(5, seed=3)
IDS = torch.tensor([[0, 3], [2, 1]])

#: The same call on both sides: function of ts, function of torch, tensors.
CALLS: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[Tensor]]] = {
    "add": (ops.add, torch.add, [X, Y]),
    "add alpha": (
        lambda x, y: ops.add(x, y, alpha=2), lambda x, y: torch.add(x, y, alpha=2), [X, Y]
    ),
    "sub": (ops.sub, torch.sub, [X, Y]),
    "mul number": (lambda x: ops.mul(x, 3), lambda x: torch.mul(x, 3), [X]),
    "div": (ops.div, torch.div, [X, Y]),
    "pow": (lambda x: ops.pow(x, 2), lambda x: torch.pow(x, 2), [X]),
    "exp": (ops.exp, torch.exp, [X]),
    "round": (lambda x: ops.round(x, decimals=1), lambda x: torch.round(x, decimals=1), [X]),
    "where": (lambda x, y: ops.where(x > 0, x, y), lambda x, y: torch.where(x > 0, x, y), [X, Y]),
    "clamp": (lambda x: ops.clamp(x, min=-1, max=1), lambda x: torch.clamp(x, min=-1, max=1), [X]),
    "to": (lambda x: ops.to(x, torch.bfloat16), lambda x: x.to(torch.bfloat16), [X]),
    "matmul": (ops.matmul, torch.matmul, [X, Y]),
    "mm": (ops.mm, torch.mm, [X, W.t().contiguous()]),
    "addmm": (ops.addmm, torch.addmm, [B, X, W.t().contiguous()]),
    "tensordot": (
        lambda x, w: ops.tensordot(x, w, dims=([1], [1])),
        lambda x, w: torch.tensordot(x, w, dims=([1], [1])),
        [X, W],
    ),
    "sum": (ops.sum, torch.sum, [X]),
    "sum dim": (lambda x: ops.sum(x, 1, True), lambda x: torch.sum(x, 1, True), [X]),
    "mean": (lambda x: ops.mean(x, dim=0), lambda x: torch.mean(x, dim=0), [X]),
    "max": (ops.max, torch.max, [X]),
    "max dim": (lambda x: ops.max(x, 1), lambda x: tuple(torch.max(x, 1)), [X]),
    "max of two": (ops.max, torch.max, [X, X.flip(0)]),
    "argmax": (lambda x: ops.argmax(x, 1), lambda x: torch.argmax(x, 1), [X]),
    "var": (lambda x: ops.var(x, 1, correction=0), lambda x: torch.var(x, 1, correction=0), [X]),
    "var_mean": (lambda x: ops.var_mean(x, 1), lambda x: torch.var_mean(x, 1), [X]),
    "softmax": (lambda x: ops.softmax(x, -1), lambda x: torch.softmax(x, -1), [X]),
    "reshape": (lambda x: ops.reshape(x, 3, -1), lambda x: torch.reshape(x, (3, -1)), [X]),
    "permute": (lambda x: ops.permute(x, (1, 0)), lambda x: torch.permute(x, (1, 0)), [X]),
    "split": (lambda x: ops.split(x, 4, 1), lambda x: list(torch.split(x, 4, 1)), [X]),
    "cat": (lambda x: ops.cat([x, x], 1), lambda x: torch.cat([x, x], 1), [X]),
    "pad": (lambda x: ops.pad(x, (1, 2), value=5), lambda x: F.pad(x, (1, 2), value=5), [X]),
    "roll": (lambda x: ops.roll(x, 2, 1), lambda x: torch.roll(x, 2, 1), [X]),
    "gather": (lambda x, i: ops.gather(x, 1, i), lambda x, i: torch.gather(x, 1, i), [X, IDS]),
    "attention": (
        lambda q: ops.flash_attention(q, q, q, is_causal=True),
        lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True),
        [values(2, 3, 7, 8)],
    ),
    "zeros_like": (ops.zeros_like, torch.zeros_like, [X]),
    "generic": (ops.celu, torch.celu, [X]),
    "generic overloads": (
        lambda x, y: ops.addcmul(x, y, y), lambda x, y: torch.addcmul(x, y, y), [X, Y]
    ),
    "linear": (nn.linear, F.linear, [X, W, B]),
    "layer_norm": (lambda x: nn.layer_norm(x, (6,)), lambda x: F.layer_norm(x, (6,)), [X]),
    "rms_norm": (lambda x: nn.rms_norm(x, (6,)), lambda x: F.rms_norm(x, (6,)), [X]),
    "group_norm": (lambda x: nn.group_norm(x, 2), lambda x: F.group_norm(x, 2), [X]),
    "batch_norm": (
        lambda x, m, v: nn.batch_norm(x, m, v), lambda x, m, v: F.batch_norm(x, m, v),
        [X, Y, Y.abs() + 1],
    ),
    "nn.softmax": (lambda x: nn.softmax(x, dim=1), lambda x: F.softmax(x, dim=1), [X]),
    "gelu": (nn.gelu, F.gelu, [X]),
    "gelu tanh": (
        lambda x: nn.gelu(x, approximate="tanh"), lambda x: F.gelu(x, approximate="tanh"), [X]
    ),
    "conv2d": (
        lambda x, w: nn.conv2d(x, w, padding=1, stride=2),
        lambda x, w: F.conv2d(x, w, padding=1, stride=2),
        [values(2, 3, 7, 8), values(4, 3, 3, 3)],
    ),
    "conv1d same": (
        lambda x, w: nn.conv1d(x, w, padding="same"), lambda x, w: F.conv1d(x, w, padding="same"),
        [values(2, 3, 7), values(4, 3, 4)],
    ),
    "conv_transpose2d": (
        lambda x, w: nn.conv_transpose2d(x, w, stride=2, output_padding=1),
        lambda x, w: F.conv_transpose2d(x, w, stride=2, output_padding=1),
        [values(2, 3, 4, 5), values(3, 4, 3, 3)],
    ),
    "dropout": (
        lambda x: nn.dropout(x, 0.5, training=False),
        lambda x: F.dropout(x, 0.5, training=False), [X],
    ),
    "embedding": (nn.embedding, F.embedding, [IDS, W]),
    "embedding as aten": (nn.embedding, lambda w, i: F.embedding(i, w), [W, IDS]),
    "normalize": (nn.normalize, F.normalize, [X]),
    "softsign": (nn.softsign, F.softsign, [X]),
    "one_hot": (lambda i: nn.one_hot(i, 4), lambda i: F.one_hot(i, 4), [IDS]),
    "operators": (
        lambda x, y: (x + y) * 2 - 1 / (y * y + 1) + (-x) ** 2,
        lambda x, y: (x + y) * 2 - 1 / (y * y + 1) + (-x) ** 2,
        [X, Y],
    ),
    "methods": (lambda x: x.relu().sum(1), lambda x: x.relu().sum(1), [X]),
}  # fmt: skip


def _torch(result: Any) -> Any:
    """Every ts.Tensor inside as a torch tensor; lists and tuples alike."""
    if isinstance(result, ts.Tensor):
        return torch.from_dlpack(result)
    if isinstance(result, (list, tuple)):
        return [_torch(item) for item in result]
    return result


@pytest.mark.parametrize("name", CALLS)
def test_on_tensors(name: str) -> None:
    ours, theirs, tensors = CALLS[name]
    got = ours(*(ts.from_dlpack(tensor) for tensor in tensors))
    leaves = pytree.tree_leaves(got, is_leaf=lambda item: isinstance(item, ts.Tensor))
    assert all(isinstance(leaf, ts.Tensor) for leaf in leaves)
    torch.testing.assert_close(_torch(got), _torch(theirs(*tensors)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in CALLS if name != "methods"])
def test_on_graph_values(name: str) -> None:
    ours, theirs, tensors = CALLS[name]
    builder = ReferenceBuilder({str(i): tensor for i, tensor in enumerate(tensors)})
    context = LoweringContext(builder)
    inputs = [
        GraphValue(context, builder.input(str(i), str(t.dtype).split(".")[1], list(t.shape)))
        for i, t in enumerate(tensors)
    ]
    result = ours(*inputs)
    got = [leaf.handle.tensor for leaf in pytree.tree_leaves(result)]
    assert builder.ops or name == "dropout"
    torch.testing.assert_close(got, pytree.tree_leaves(theirs(*tensors)), rtol=1e-5, atol=1e-5)


def test_inside_a_lowering() -> None:
    torch.library.define("conformance::swish", "(Tensor x, float beta) -> Tensor")
    torch.library.impl("conformance::swish", "CPU", lambda x, beta: x * torch.sigmoid(beta * x))
    torch.library.register_fake("conformance::swish", lambda x, beta: torch.empty_like(x))

    @ts.compat.register_aten("conformance::swish")
    def lower(node: Any, ctx: Any) -> Any:
        x, beta = ctx.get_inputs(node)
        return ts.ops.mul(x, ts.nn.sigmoid(x * beta))

    class Model(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ops.conformance.swish(x, 1.5) + 1

    model = ts.from_pytorch(Model(), example_inputs=(X,), strict=True)
    torch.testing.assert_close(model(X), X * torch.sigmoid(1.5 * X) + 1)


def test_the_table_of_the_guide() -> None:
    """The spellings of the guide, as overrides that call them with all arguments."""
    table = {
        "aten.mm": ts.ops.matmul,
        "aten.layer_norm": ts.nn.layer_norm,
        "aten.softmax": ts.nn.softmax,
        "aten.dropout": ts.nn.dropout,
        "aten._scaled_dot_product_attention": ts.ops.flash_attention,
        "aten.add": ts.ops.add,
        "aten.gelu": ts.nn.gelu,
        "aten.linear": ts.nn.linear,
        "aten.embedding": ts.nn.embedding,
    }
    from tessera.lowering.registry import registry

    called: set[str] = set()
    rules = []
    for spelled, function in table.items():

        def lower(node: Any, ctx: Any, spelled: str = spelled, function: Any = function) -> Any:
            called.add(spelled)
            given = ctx.get_inputs(node)
            if spelled == "aten.layer_norm":
                given = given[:5]
            return function(*given, **node.kwargs)

        ts.compat.register_aten(spelled)(lower)
        rules.append(lower)

    class Model(torch.nn.Module):
        def forward(self, x: Tensor, ids: Tensor) -> Tensor:
            h = F.layer_norm(F.linear(x + F.embedding(ids, x)[:, 0], W, B), [5])
            h = F.dropout(torch.mm(F.gelu(h), W), 0.1, self.training)
            return F.scaled_dot_product_attention(h[None], h[None], h[None])[0].softmax(-1)

    try:
        model, ids = Model().eval(), torch.tensor([[1, 2], [0, 3], [2, 2], [1, 1]])
        with torch.no_grad():
            got = ts.from_pytorch(model, example_inputs=(X, ids), strict=True)(X, ids)
            torch.testing.assert_close(got, model(X, ids), rtol=1e-5, atol=1e-5)
        assert called == set(table)
    finally:
        for rule in rules:
            registry.remove(rule)


def test_every_lowering_names_an_operator() -> None:
    for key in BUILTINS:
        name, overload = key.split(".")
        assert overload in getattr(torch.ops.aten, name).overloads(), key


def test_signatures_follow_the_schemas() -> None:
    """Positional arguments of an operator bind to the lowering's parameters of the same name."""
    import inspect

    exceptions = {"from": "start", "N": "N", "C": "C", "HxW": "HxW"}
    for key, lower in BUILTINS.items():
        name, overload = key.split(".")
        schema = getattr(getattr(torch.ops.aten, name), overload)._schema
        signature = inspect.signature(lower)
        # The context is the first argument.
        positional = [None for argument in schema.arguments if not argument.kwarg_only]
        keywords = {
            exceptions.get(argument.name, argument.name): None
            for argument in schema.arguments
            if argument.kwarg_only
        }
        try:
            signature.bind(None, *positional, **keywords)
        except TypeError as error:
            pytest.fail(f"{key}: {error}; schema {schema}")


# --- kinds of tensors, errors ----------------------------------------------------------------


def test_torch_tensors_give_torch_tensors() -> None:
    result = ops.exp(X)
    assert isinstance(result, Tensor)
    torch.testing.assert_close(result, X.exp())
    assert isinstance(ops.add(ts.from_dlpack(X), X), ts.Tensor)


def test_views_share_memory_and_copies_do_not() -> None:
    x = ts.from_dlpack(X.clone())
    source = torch.from_dlpack(x)
    view, copy = torch.from_dlpack(ops.reshape(x, 6, 4)), torch.from_dlpack(ops.clone(x))
    added = torch.from_dlpack(ops.add(x, 0))
    source[0, 0] = 77
    assert view[0, 0] == 77
    assert copy[0, 0] != 77
    assert added[0, 0] != 77


def test_numbers_of_different_type_are_different_programs() -> None:
    ints = ts.tensor([1, 2, 3])
    assert ops.add(ints, 1).dtype == torch.int64
    assert ops.add(ints, 1.0).dtype == torch.float32
    assert ops.add(ints, True).dtype == torch.int64
    # 0.0 and -0.0 too
    one = ts.tensor([1.0])
    assert torch.from_dlpack(ops.copysign(one, 0.0)).item() == 1.0
    assert torch.from_dlpack(ops.copysign(one, -0.0)).item() == -1.0


def test_programs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    original = _eager._build
    monkeypatch.setattr(_eager, "_build", lambda *a: compiled.append(a[0]) or original(*a))
    x = ts.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]])
    for _ in range(3):
        ops.tanh(x)
    assert compiled == ["tanh.default"]
    ops.tanh(ts.tensor([1.0]))
    assert len(compiled) == 2


@pytest.fixture
def small_cache(monkeypatch: pytest.MonkeyPatch) -> _eager._Cache:
    cache = _eager._Cache(2)
    monkeypatch.setattr(_eager, "cache", cache)
    return cache


def test_the_cache_forgets_the_oldest(small_cache: _eager._Cache) -> None:
    x = ts.tensor([1.0, 2.0])
    for function in (ops.exp, ops.sin, ops.exp, ops.cos):
        function(x)
    assert [key[0] for key in small_cache._programs] == ["exp.default", "cos.default"]


def test_errors_name_the_operator() -> None:
    x, y = ts.tensor([[1.0, 2.0]]), ts.tensor([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"\[matmul\].*\(1, 2\).*\(3,") as caught:
        ops.matmul(x, y)
    assert isinstance(caught.value, ts.TesseraError)
    with pytest.raises(ValueError, match="add"):
        ops.add(x, y)
    with pytest.raises(ValueError, match=r"\[softmax\] dim 5 is out of range"):
        ops.softmax(x, 5)
    with pytest.raises(TypeError, match=r"\[matmul\].*float32.*int64"):
        ops.matmul(x, ts.tensor([1, 2]))
    with pytest.raises(ValueError, match="requires grad"):
        ops.exp(torch.ones(2, requires_grad=True))
    with pytest.raises(TypeError, match="complex64"):
        ops.exp(torch.ones(2, dtype=torch.complex64))
    with pytest.raises(AttributeError, match="no_such_function"):
        _ = ops.no_such_function
    # and everything still works
    torch.testing.assert_close(torch.from_dlpack(ops.add(x, x)), torch.tensor([[2.0, 4.0]]))


def test_two_graphs_do_not_mix() -> None:
    def value(name: str) -> GraphValue:
        builder = ReferenceBuilder({name: X})
        return GraphValue(LoweringContext(builder), builder.input(name, "float32", [4, 6]))

    with pytest.raises(ValueError, match="two different graphs"):
        ops.add(value("a"), value("b"))


def test_dropout_is_seeded_by_pytorch() -> None:
    x = ts.from_dlpack(torch.ones(64, 64))
    torch.manual_seed(3)
    first, second = ts.nn.dropout(x, 0.25), ts.nn.dropout(x, 0.25)
    torch.manual_seed(3)
    again = torch.from_dlpack(ts.nn.dropout(x, 0.25))
    assert isinstance(first, ts.Tensor)
    assert torch.equal(again, torch.from_dlpack(first))
    assert not torch.equal(again, torch.from_dlpack(second))
    assert again.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert torch.equal(torch.from_dlpack(ts.nn.dropout(x, training=False)), torch.ones(64, 64))


def test_from_many_threads() -> None:
    x = ts.from_dlpack(X)
    want, failures = torch.from_dlpack(ops.softmax(x, -1)), []

    def work() -> None:
        for _ in range(20):
            if not torch.equal(torch.from_dlpack(ops.softmax(x, -1)), want):
                failures.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_creation() -> None:
    assert torch.from_dlpack(ops.arange(5)).tolist() == [0, 1, 2, 3, 4]
    assert torch.from_dlpack(ops.zeros(2, 3)).shape == (2, 3)
    assert ops.ones((2,), dtype=torch.int8).dtype == torch.int8
    assert torch.from_dlpack(ops.full((2,), math.pi)).tolist() == [pytest.approx(math.pi)] * 2
    torch.testing.assert_close(torch.from_dlpack(ops.eye(3)), torch.eye(3))
