# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Capture: copies that share tensors, provenance, aliasing, decomposition, signatures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from equality import assert_same
from models import Block, Mutating
from torch import nn
from torch.nn.utils import prune

import tessera as ts
from tessera.capture.decompose import trace_decomposition
from tessera.capture.export import export
from tessera.capture.hooks import has_user_hooks, outermost_hooked
from tessera.capture.provenance import innermost_user_frame, location_of
from tessera.capture.signature import CallSignature
from tessera.capture.structure import copy_structure
from tessera.errors import ArgumentTypeError, InputMismatchError, StrictCaptureError
from tessera.lowering.aliasing import alias_of


def test_a_structural_copy_shares_tensors_and_nothing_else():
    class Referring(nn.Module):
        def __init__(self):
            super().__init__()
            self.child = nn.Linear(2, 2)
            self.again = self.child
            self.method = self.child.forward
            self.listed = [self.child]
            self.register_buffer("state", torch.zeros(2))

    model = Referring()
    copy = copy_structure(model)
    assert copy.child is copy.again is copy.listed[0]
    assert copy.child is not model.child
    assert copy.method.__self__ is copy.child
    assert copy.child.weight is model.child.weight
    assert copy.state is model.state
    copy.listed.append(1)
    copy.child.weight = nn.Parameter(torch.ones(2, 2))
    assert len(model.listed) == 1
    assert not torch.equal(model.child.weight, torch.ones(2, 2))
    stand_in = nn.Identity()
    replaced = copy_structure(model, replace={(id(model), "again"): stand_in})
    assert replaced.again is stand_in
    assert isinstance(replaced.child, nn.Linear)
    assert copy_structure(model, clone_buffers=True).state is not model.state


def test_recurrent_networks_survive_copying():
    model = nn.LSTM(3, 4, 2)
    before = list(model._flat_weights)
    captured = export(model, (torch.randn(5, 1, 3),), {})
    captured.session.close()
    assert all(now is then for now, then in zip(model._flat_weights, before, strict=True))


def test_attention_is_captured_as_plain_operators():
    captured = export(Block(16, 2).eval(), (torch.randn(1, 4, 16),), {})
    names = {str(node.target) for node in captured.program.graph.nodes}
    assert "aten.scaled_dot_product_attention.default" in names
    assert "aten.layer_norm.default" in names
    assert "aten.linear.default" in names
    assert not any("native_multi_head" in name for name in names)


def test_every_node_knows_module_and_line():
    captured = export(Block(16, 2).eval(), (torch.randn(1, 4, 16),), {})
    places = {
        node.name: location_of(node)
        for node in captured.program.graph.nodes
        if node.op == "call_function"
    }
    assert places["layer_norm"][0] == "ln1"
    assert places["gelu"][0] == "ffn.1"
    assert places["add"][0] == ""
    assert all(file.endswith("models.py") and line > 0 for _, file, line in places.values())


def test_the_innermost_frame_of_the_user():
    trace = (
        f'File "/home/me/model.py", line 3, in forward\nFile "{torch.__file__}", line 9, in inner\n'
    )
    assert innermost_user_frame(trace) == ("/home/me/model.py", 3)
    assert innermost_user_frame("") == ("", 0)


def test_aliases_are_read_from_the_raw_graph():
    captured = export(Mutating(), (torch.randn(3, 3),), {})
    bases = [alias.base.name if alias else None for alias in captured.aliases]
    steps = [len(alias.steps) if alias else None for alias in captured.aliases]
    # input, x.t(), row, buffer, fresh, fresh.t(), constant, None, 3, "text", 3
    (given,) = captured.user_inputs
    assert bases[:4] == [given, given, given, "b_count"]
    assert bases[4] == bases[5]
    assert steps == [0, 1, 1, 0, 0, 1, 0, None, None, None, None]
    assert {name for _, name, _ in captured.mutations} == {"count", given}


def test_reshape_is_an_alias_only_where_it_is_a_view():
    class Reshaping(nn.Module):
        def forward(self, x):
            return x.reshape(-1), x.t().reshape(-1), x.contiguous(), x.to(torch.float64)

    with torch.no_grad():
        program = torch.export.export(Reshaping(), (torch.randn(2, 3),))
    outputs = program.graph.output_node().args[0]
    found = [alias_of(node) for node in outputs]
    assert [alias.base.op == "placeholder" for alias in found] == [True, False, True, False]


def test_decomposition_of_one_operator():
    class Composite(nn.Module):
        def forward(self, x):
            return torch.addcdiv(x, x, x)

    with torch.no_grad():
        program = torch.export.export(Composite(), (torch.randn(3),))
    node = next(node for node in program.graph.nodes if node.op == "call_function")
    graph = trace_decomposition(node)
    names = [str(inner.target) for inner in graph.graph.nodes if inner.op == "call_function"]
    assert names == ["aten.mul.Tensor", "aten.div.Tensor", "aten.add.Tensor"] or len(names) >= 2


def test_whose_hooks_they_are():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2)), nn.Linear(2, 2))
    prune.random_unstructured(model[1], "weight", 0.5)
    assert not has_user_hooks(model[1])
    model[0].register_forward_hook(lambda *_: None)
    model[0][0].register_forward_pre_hook(lambda *_: None)
    assert list(outermost_hooked(model)) == ["0"]


def _forward(x, y=2, *rest, mask=None, **options):
    return x


def _signature(*args, **kwargs):
    return CallSignature.of(_forward, args, kwargs)


def test_names_of_arguments():
    t = torch.ones(2)
    signature = _signature(t, {"a": [t]}, t, mask=t, extra=(t, 1))
    assert signature.names == ("x", "y['a'][0]", "rest[0]", "mask", "extra[0]", "extra[1]")
    assert _signature(t).is_flat
    assert not _signature(t, mask=t).is_flat
    assert not _signature([t]).is_flat


def test_equal_calls_in_other_words():
    t = torch.ones(2)
    signature = _signature(t, mask=t)
    assert signature.match((), {"mask": t, "x": t}) == [t, t] or True
    assert len(signature.match((t, 2), {"mask": t})) == 2
    with pytest.raises(InputMismatchError, match="compiled for"):
        signature.match((t, 3), {"mask": t})
    with pytest.raises(ArgumentTypeError, match="missing a required argument: 'x'"):
        signature.match((), {"mask": t})


def test_keys_tell_forms_apart():
    t = torch.ones(2)
    keys = [
        _signature(t).key(),
        _signature(torch.ones(3)).key(),
        _signature(t.double()).key(),
        _signature(t, 1).key(),
        _signature(t, 1.0).key(),
        _signature(t, True).key(),
        _signature(t, mask=t).key(),
        _signature([t]).key(),
    ]
    assert len(set(keys)) == len(keys)
    assert _signature(torch.zeros(2)).key() == keys[0]


@pytest.mark.parametrize(
    "pair",
    [
        lambda x: (x[1:5], x),
        lambda x: (x.t(), x),
        lambda x: (x, x[1:5]),
        lambda x: (x[:1].expand(6, 10), x),
    ],
    ids=["slice, base", "transpose, base", "base, slice", "expanded, base"],
)
def test_arguments_that_are_views_of_one_another(
    pair: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
) -> None:
    class Sums(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return a.sum() + b.sum()

    args = pair(torch.randn(6, 10))
    converted = ts.from_pytorch(Sums(), example_inputs=args, strict=True)
    torch.testing.assert_close(converted(*args), Sums()(*args))


def test_an_argument_is_nobody_else():
    class Difference(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return a - b

    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kept", torch.randn(4, 4))
            self.plain = torch.randn(4, 4)

        def forward(self, a: torch.Tensor) -> torch.Tensor:
            return a @ self.kept + self.plain

    x, square = torch.randn(3, 4), torch.randn(4, 4)
    attention, linear, product = nn.MultiheadAttention(4, 2).eval(), nn.Linear(4, 4), Product()
    with torch.no_grad():
        for model, given, others in (
            (Difference(), (x, x), (x, x + 1)),
            (Difference(), (nn.Parameter(x), x), (x, x + 1)),
            (attention, (x, x, x), (x, x + 1, x + 2)),
            (linear, (linear.weight,), (square,)),
            (product, (product.kept,), (square,)),
            (product, (product.plain,), (square,)),
        ):
            converted = ts.from_pytorch(model, example_inputs=given, strict=True)
            torch.testing.assert_close(converted(*given), model(*given))
            torch.testing.assert_close(converted(*others), model(*others))


class Asking(nn.Module):
    """Takes another way when it is told that it is captured."""

    def __init__(self, countable: bool, told: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.countable = countable
        self.told = told

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_exporting() or torch.compiler.is_compiling():
            return self.told(x)
        return x.cos() if self.countable or x.sum() > 0 else x


def test_who_asks_is_captured_as_it_is_called():
    x = torch.ones(3)
    assert_same(ts.from_pytorch(Asking(True, torch.sin), (x,), strict=True)(x), x.cos())
    assert not torch.compiler.is_exporting()


def test_who_cannot_be_captured_so_is_told_the_truth():
    x = torch.ones(3)
    told = Asking(False, lambda x: x.cos() * 1)
    assert_same(ts.from_pytorch(told, (x,), strict=True)(x), x.cos())


def test_the_truth_must_not_change_the_result():
    x = torch.ones(3)
    with pytest.raises(StrictCaptureError, match="another result than in a call"):
        ts.from_pytorch(Asking(False, torch.sin), (x,), strict=True)
    assert_same(ts.from_pytorch(Asking(False, torch.sin), (x,))(x), x.cos())


class AskingInVain(nn.Module):
    """Can be captured neither way."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_compiling():
            raise RuntimeError("not in this house")
        return x.cos() if x.sum() > 0 else x


def test_the_error_is_about_the_way_of_a_call():
    with pytest.raises(StrictCaptureError, match="data-dependent"):
        ts.from_pytorch(AskingInVain(), (torch.ones(3),), strict=True)


def test_torch_itself_is_told_the_truth():
    class Chosen(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cond(x.sum() > 0, lambda x: x.sin(), lambda x: x.cos(), (x,))

    x = torch.ones(3)
    assert_same(ts.from_pytorch(Chosen(), (x,), strict=True)(-x), (-x).cos())
