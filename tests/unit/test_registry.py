# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Names, priorities and overriding of lowerings."""

from __future__ import annotations

import pytest
import torch
from models import foreign
from torch import nn

import tessera as ts
from tessera.errors import RegistrationError
from tessera.lowering.registry import OpKey, Registry, parse_op_name

LIBRARY = torch.library.Library("tessera_test", "DEF")
LIBRARY.define("scale(Tensor x, float factor, *, int shift=1) -> Tensor")
LIBRARY.impl("scale", lambda x, factor, shift=1: x * factor + shift, "CompositeExplicitAutograd")
torch.library.register_fake(
    "tessera_test::scale", lambda x, factor, shift=1: torch.empty_like(x), lib=LIBRARY
)


class Scale(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.tessera_test.scale(x, 2.0, shift=3)


@pytest.mark.parametrize(
    ("spelling", "key"),
    [
        ("add", ("aten", "add", None)),
        ("add.Tensor", ("aten", "add", "Tensor")),
        ("aten.add", ("aten", "add", None)),
        ("aten.add.Tensor", ("aten", "add", "Tensor")),
        ("aten::add.Tensor", ("aten", "add", "Tensor")),
        ("torch.ops.aten.add", ("aten", "add", None)),
        ("softmax.int", ("aten", "softmax", "int")),
        ("native_layer_norm.default", ("aten", "native_layer_norm", "default")),
        ("mylib::op", ("mylib", "op", None)),
        ("mylib.op", ("mylib", "op", None)),
        ("mylib.op.default", ("mylib", "op", "default")),
        ("aten.my_custom_op", ("aten", "my_custom_op", None)),
        (
            "aten._scaled_dot_product_attention",
            ("aten", "scaled_dot_product_attention", None),
        ),
        (torch.ops.aten.add.Tensor, ("aten", "add", "Tensor")),
        (torch.ops.aten.add, ("aten", "add", None)),
    ],
)
def test_every_spelling_of_a_name(spelling, key):
    assert parse_op_name(spelling) == OpKey(*key)


@pytest.mark.parametrize("wrong", ["", "a b", "a.b.c.d", 3, None, "x::y::z", "aten::a.b.c"])
def test_what_is_no_name(wrong):
    with pytest.raises(RegistrationError):
        parse_op_name(wrong)


def test_the_best_rule_comes_first():
    table = Registry()
    rules = {name: (lambda node, ctx: None) for name in ("low", "old", "new", "exact")}
    table.add(("aten.add",), rules["low"], priority=-1)
    table.add(("aten.add",), rules["old"], priority=0)
    table.add(("aten.add.Tensor",), rules["exact"], priority=0)
    table.add(("aten.add",), rules["new"], priority=0)
    found = [rule.lower for rule in table.lookup(torch.ops.aten.add.Tensor)]
    assert found == [rules["exact"], rules["new"], rules["old"], rules["low"]]
    assert [rule.lower for rule in table.lookup("aten.add.Scalar")] == [
        rules["new"],
        rules["old"],
        rules["low"],
    ]
    assert table.remove(rules["new"]) == 1
    assert "aten.mul" not in table


@pytest.fixture
def registered():
    functions = []

    def register(*names, **options):
        def decorate(function):
            functions.append(function)
            return ts.compat.register_aten(*names, **options)(function)

        return decorate

    yield register
    for function in functions:
        ts.compat.unregister(function)


def test_a_custom_operator_is_an_island_until_it_is_registered(registered):
    x = torch.randn(3)
    model = ts.from_pytorch(Scale(), (x,))
    (row,) = model.report.unconverted
    assert row.op == "tessera_test.scale.default"
    assert row.code == "no-lowering"
    assert "register_aten" in row.remedy
    torch.testing.assert_close(model(x), x * 2 + 3)

    seen = []

    @registered("tessera_test.scale")
    def lower(node, ctx):
        inputs = ctx.get_inputs(node)
        seen.append(inputs)
        return ts.ops.add(ts.ops.mul(*inputs), node.kwargs["shift"])

    model = ts.from_pytorch(Scale(), (x,), strict=True)
    assert model.report.fully_converted
    torch.testing.assert_close(model(x), x * 2 + 3)
    assert seen[0][0].shape == (3,)
    assert seen[0][1] == 2.0


def test_users_override_built_in_lowerings(registered):
    x = torch.randn(3)

    @registered("aten.relu")
    def lower(node, ctx):
        (value,) = ctx.get_inputs(node)
        return ts.ops.mul(value, 0.0)

    assert ts.from_pytorch(nn.ReLU(), (x,))(x.abs()).tolist() == [0, 0, 0]


def test_a_validator_passes_on_or_says_why(registered):
    x = torch.randn(3)

    @registered("aten.relu", validate=lambda node, ctx: False)
    def declined(node, ctx):
        raise AssertionError("declined rules are not asked")

    torch.testing.assert_close(ts.from_pytorch(nn.ReLU(), (x,))(x), x.relu())

    @registered("tessera_test::scale", validate=lambda node, ctx: "only on Sundays")
    def sundays(node, ctx):
        raise AssertionError("declined rules are not asked")

    (row,) = ts.from_pytorch(Scale(), (x,)).report.unconverted
    assert row.reason == "only on Sundays"


def test_unsupported_makes_an_island_with_reason_and_remedy(registered):
    @registered("tessera_test::scale")
    def lower(node, ctx):
        raise ts.compat.Unsupported("shift is odd", "use an even shift", code="odd")

    x = torch.randn(3)
    model = ts.from_pytorch(Scale(), (x,))
    (row,) = model.report.unconverted
    assert (row.reason, row.remedy, row.code) == ("shift is odd", "use an even shift", "odd")
    torch.testing.assert_close(model(x), x * 2 + 3)


def test_whole_keeps_an_operator_in_pytorch_whatever_other_rules_there_are(registered):
    @registered("aten.relu", "aten.gelu")
    def lower(node, ctx):
        raise ts.compat.Unsupported("kept", whole=True)

    x = torch.randn(3)
    for module in (nn.ReLU(), nn.GELU()):
        model = ts.from_pytorch(module, (x,))
        (row,) = model.report.unconverted
        assert row.reason == "kept"
        torch.testing.assert_close(model(x), module(x))


def test_an_operator_with_a_lowering_of_ones_own_is_never_kept_in_pytorch(registered):
    class Between(nn.Module):
        def forward(self, x):
            return foreign(foreign(x).neg())

    x = torch.randn(3)
    assert len(ts.from_pytorch(Between(), (x,)).report.islands) == 1

    @registered("aten.neg")
    def lower(node, ctx):
        (value,) = ctx.get_inputs(node)
        return ts.ops.mul(value, -1.0)

    assert len(ts.from_pytorch(Between(), (x,)).report.islands) == 2


def test_a_wrong_return_is_a_clear_error(registered):
    results = [None, 3, "x"]

    @registered("tessera_test::scale")
    def lower(node, ctx):
        (value, _) = ctx.get_inputs(node)
        return {"bool": value > 0, "many": (value, value)}.get(results[0], results[0])

    for wrong, text in [
        (None, "NoneType None"),
        (3, "int 3"),
        ("bool", r"bool\[3\]"),
        ("many", r"\(float32\[3\], float32\[3\]\)"),
    ]:
        results[0] = wrong
        with pytest.raises(RegistrationError, match=rf"returned {text} where float32\[3\]"):
            ts.from_pytorch(Scale(), (torch.randn(3),))


def test_a_validator_that_gives_no_answer_is_a_clear_error(registered):
    answers = [3]

    @registered("tessera_test::scale", validate=lambda node, ctx: answers[0] / answers[-1])
    def lower(node, ctx):
        raise AssertionError("declined rules are not asked")

    with pytest.raises(RegistrationError, match=r"validator of .*lower returned 1\.0"):
        ts.from_pytorch(Scale(), (torch.randn(3),))
    answers.append(0)
    with pytest.raises(
        RegistrationError, match=r"validator of the lowering .* raised ZeroDivision"
    ):
        ts.from_pytorch(Scale(), (torch.randn(3),))
    with pytest.raises(RegistrationError, match="priority must be an integer, not 'high'"):
        ts.compat.register_aten("aten.relu", priority="high")
    with pytest.raises(RegistrationError, match="validate must be a function"):
        ts.compat.register_aten("aten.relu", validate=True)


def test_priorities_among_rules_of_users(registered):
    x = torch.randn(3)
    asked = []

    def rule(name, accepts, **options):
        @registered(
            "aten.relu", validate=lambda node, ctx: asked.append(name) or accepts, **options
        )
        def lower(node, ctx):
            return ts.ops.mul(ctx.get_inputs(node)[0], 0.0)

    rule("low", True, priority=-5)
    rule("high", False, priority=7)
    rule("usual", False)
    torch.testing.assert_close(ts.from_pytorch(nn.ReLU(), (x,))(x), x.relu())
    # The built-in rule lies between them.
    assert asked == ["usual", "high"]


def test_what_a_lowering_sees_of_its_node(registered):
    seen = {}

    @registered("tessera_test::scale")
    def lower(node, ctx):
        seen.update(
            name=node.name,
            args=node.args[1:],
            kwargs=node.kwargs,
            fake=tuple(node.meta["val"].shape),
            inputs=ctx.get_inputs(node)[1:],
            keywords=ctx.get_kwargs(node),
            default=ctx.arg(node, 7, "shift"),
            number=ctx.value(2.5).shape,
            array=ctx.value(torch.ones(2)).dtype,
        )
        value = ctx.value(node.args[0])
        assert value.shape == ctx.meta(node).shape
        # As in the guide: the node's own keywords, nodes among them.
        return ts.ops.add(ts.ops.mul(value, node.args[1]), ctx.arg(node, 2, "shift"))

    x = torch.randn(3)
    model = ts.from_pytorch(Scale(), (x,), strict=True)
    torch.testing.assert_close(model(x), x * 2 + 3)
    assert seen == {
        "name": "scale",
        "args": (2.0,),
        "kwargs": {"shift": 3},
        "fake": (3,),
        "inputs": [2.0],
        "keywords": {"shift": 3},
        "default": 3,
        "number": (),
        "array": torch.float32,
    }


def test_operators_made_with_custom_op(registered):
    @torch.library.custom_op("tessera_test::multiplied", mutates_args=())
    def twice(x: torch.Tensor, factor: float = 2.0) -> torch.Tensor:
        return x * factor

    twice.register_fake(lambda x, factor=2.0: torch.empty_like(x))

    class Twice(nn.Module):
        def forward(self, x):
            return twice(x, 3.0) + torch.ops.tessera_test.multiplied(x)

    x = torch.randn(3)
    islands = ts.from_pytorch(Twice(), (x,))
    assert len(islands.report.unconverted) == 2
    torch.testing.assert_close(islands(x), 5 * x)

    @registered(twice)
    def lower(node, ctx):
        return ts.ops.mul(ctx.value(node.args[0]), ctx.arg(node, 1, "factor"))

    torch.testing.assert_close(ts.from_pytorch(Twice(), (x,), strict=True)(x), 5 * x)


def test_an_exception_in_a_lowering_names_the_lowering(registered):
    @registered("tessera_test::scale")
    def lower(node, ctx):
        return {}["missing"]

    with pytest.raises(RegistrationError, match=r"lower of tessera_test.scale.default raised Key"):
        ts.from_pytorch(Scale(), (torch.randn(3),))


def test_registering_an_inner_operator_opens_the_outer_one(registered):
    calls = []

    @registered("aten._softmax")
    def lower(node, ctx):
        value, dim, _ = ctx.get_inputs(node)
        calls.append(dim)
        return ts.ops.softmax(value, dim)

    x = torch.randn(2, 3)
    torch.testing.assert_close(ts.from_pytorch(nn.Softmax(-1), (x,))(x), x.softmax(-1))
    assert calls


def test_register_aten_wants_a_name_and_a_function():
    with pytest.raises(RegistrationError, match="name"):

        @ts.compat.register_aten
        def lower(node, ctx):
            return None

    with pytest.raises(RegistrationError, match=r"lower\(node, ctx\)"):
        ts.compat.register_aten("aten.relu")(lambda node: None)


def test_the_version_moves_with_every_change():
    def lower(node, ctx):
        return ctx.get_inputs(node)[0]

    table = Registry()
    assert "how often" in str(Registry.version.__doc__).lower()
    seen = [table.version]
    table.add(("mylib.one", "mylib.two"), lower, priority=0)
    seen.append(table.version)
    table.remove(lower)
    seen.append(table.version)
    assert seen == sorted(set(seen))
