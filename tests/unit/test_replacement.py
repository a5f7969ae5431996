# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Setting a child of a converted module: wrapped, native, PyTorch, or refused."""

from __future__ import annotations

import pytest
import torch
from equality import assert_same
from models import Block, Branching
from torch import nn

import tessera as ts
from tessera.errors import ConversionError, ReplacementError


class CompatModule(ts.Module):
    """The guide's: PyTorch inside Tessera, exchanged by DLPack."""

    def __init__(self, torch_mod):
        super().__init__()
        self.torch_mod = torch_mod.eval()
        self.calls = 0

    def forward(self, *tensors, **kwargs):
        self.calls += 1
        torch_args = [torch.utils.dlpack.from_dlpack(ts.to_dlpack(t)) for t in tensors]
        with torch.no_grad():
            out = self.torch_mod(*torch_args, **kwargs)

        def wrap(o):
            if not torch.is_tensor(o):
                return o
            return ts.from_dlpack(torch.utils.dlpack.to_dlpack(o))

        if isinstance(out, (tuple, list)):
            return type(out)(wrap(o) for o in out)
        return wrap(out)


class Doubled(ts.Module):
    """A native stand-in for an activation."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return ts.ops.mul(x, 2.0)


@pytest.fixture
def converted():
    model, x = Block(32, 4).eval(), torch.randn(2, 8, 32)
    return model, ts.from_pytorch(model, (x,)), x


def test_the_guides_hybrid(converted):
    model, tess, x = converted
    tess.attn = ts.compat.wrap(model.attn, allow_fallback=True)
    for calls in (1, 2):
        assert_same(tess(x), model(x), atol=1e-5, rtol=1e-5)
        assert tess.attn.calls == calls
    report = tess.report
    assert report.islands[0].native
    assert report.children["attn"].fully_converted
    assert not report.unconverted
    given = ts.from_dlpack(x)
    assert_same(tess(given).torch(), model(x), atol=1e-5, rtol=1e-5)


def test_only_the_new_child_runs(converted):
    model, tess, x = converted
    other = nn.MultiheadAttention(32, 4, batch_first=True).eval()
    tess.attn = ts.compat.wrap(other)
    got = tess(x)
    model.attn, original = other, model.attn
    assert_same(got, model(x), atol=1e-5, rtol=1e-5)
    model.attn = original


def test_a_compat_module_in_a_converted_tree(converted):
    model, tess, x = converted
    tess.attn = CompatModule(model.attn)
    for calls in (1, 2):
        assert_same(tess(x), model(x), atol=1e-5, rtol=1e-5)
        assert tess.attn.calls == calls


def test_a_native_module_deep_in_the_tree(converted):
    model, tess, x = converted
    before = tess(x)
    tess.ffn[1] = Doubled()
    model.ffn[1], gelu = (
        type("Twice", (nn.Module,), {"forward": lambda self, x: x * 2})(),
        model.ffn[1],
    )
    assert_same(tess(x), model(x), atol=1e-5, rtol=1e-5)
    assert tess.ffn[1].calls == 1
    model.ffn[1] = gelu
    tess.ffn[1] = gelu
    assert torch.equal(tess(x), before)
    assert tess.report.fully_converted


def test_a_torch_module_is_wrapped(converted):
    model, tess, x = converted
    tess.ln1 = nn.Identity()
    model.ln1, norm = nn.Identity(), model.ln1
    assert_same(tess(x), model(x), atol=1e-5, rtol=1e-5)
    assert isinstance(tess.ln1, ts.compat.Wrapped)
    assert tess.ln1.calls == 1
    model.ln1 = norm


def test_replacing_makes_a_new_program_and_keeps_the_old_one_for_running_calls(converted):
    _, tess, x = converted
    tess(x)
    running = tess._fast
    before = running(x)
    tess.ffn[1] = Doubled()
    assert torch.equal(running(x), before)
    assert not torch.equal(tess(x), before)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda tess: 3, "it is no module"),
        (lambda tess: None, "it is no module"),
        (lambda tess: nn.ModuleList(), "no forward"),
        (lambda tess: ts.Module(), "no forward"),
        (lambda tess: nn.Linear(3, 3), "cannot be"),
        (lambda tess: tess, "contains"),
        (lambda tess: nn.MultiheadAttention(32, 4, device="meta"), "meta"),
    ],
)
def test_bad_replacements_are_refused(converted, make, reason):
    model, tess, x = converted
    with pytest.raises(ReplacementError, match=reason):
        tess.attn = make(tess)
    assert_same(tess(x), model(x), atol=1e-5, rtol=1e-5)


def test_only_children_can_be_set(converted):
    _, tess, _ = converted
    with pytest.raises(ReplacementError, match="attribute 'new'"):
        tess.new = nn.Linear(2, 2)
    with pytest.raises(ReplacementError, match="parameter 'weight'"):
        tess.ln1.weight = nn.Parameter(torch.ones(32))


def test_containers_are_replaced_element_by_element():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return x

    model, x = Listed(), torch.randn(2, 4)
    tess = ts.from_pytorch(model, (x,))
    with pytest.raises(ReplacementError, match="elements"):
        tess.layers = nn.ModuleList()
    tess.layers[0] = ts.compat.wrap(model.layers[0])
    assert_same(tess(x), model(x))
    assert tess.layers[0].calls == 1
    assert len(tess.layers) == 2


def test_a_wrong_result_names_the_module(converted):
    _, tess, x = converted

    class Narrow(ts.Module):
        def forward(self, x):
            return x[..., :4]

    tess.ln1 = Narrow()
    with pytest.raises(ValueError, match=r"'ln1' returned \(float32\[2, 8, 4\]\)"):
        tess(x)


def test_a_wrong_constant_is_no_less_wrong(converted):
    _, tess, x = converted

    class Chatty(ts.Module):
        def forward(self, query, key, value, **options):
            return query, "weights"

    tess.attn = Chatty()
    with pytest.raises(ValueError, match=r"'attn' returned .*'weights'.* for .*None"):
        tess(x)


def test_forms_of_calls_are_told_apart():
    class Forms(nn.Module):
        def forward(self, x, factor=1, *, bias=None):
            y = x * factor
            return (y, "text") if bias is None else (y + bias, "text")

    model, x = Forms(), torch.randn(3)
    wrapped = ts.compat.wrap(model)
    calls = [
        ((x,), {}),
        ((x, 2), {}),
        ((x, 2.5), {}),
        ((x,), {"factor": 3}),
        ((x,), {"bias": x}),
        ((x.double(),), {"bias": x.double(), "factor": 2}),
        ((x[:2],), {}),
        ((ts.tensor(x),), {}),
    ]
    for _ in range(3):
        for args, kwargs in calls:
            plain = [item.torch() if isinstance(item, ts.Tensor) else item for item in args]
            got, want = wrapped(*args, **kwargs), model(*plain, **kwargs)
            assert type(got[0]) is (ts.Tensor if isinstance(args[0], ts.Tensor) else torch.Tensor)
            assert_same((torch.from_dlpack(got[0]), got[1]), want)
    assert wrapped.programs == 7


def test_a_child_that_appears_twice_is_replaced_where_it_was_set():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = self.b = nn.ReLU()

        def forward(self, x):
            return self.a(x) - self.b(x) * 3

    x = torch.ones(2)
    tess = ts.from_pytorch(Twice(), (x,))
    tess.a = Doubled()
    assert tess(x).tolist() == [-1.0, -1.0]


def test_wrap_compiles_once_for_each_form():
    model = Block(32, 4).eval()
    wrapped = ts.compat.wrap(model)
    for length in (4, 8, 4):
        x = torch.randn(1, length, 32)
        assert_same(wrapped(x), model(x), atol=1e-5, rtol=1e-5)
    assert wrapped.calls == 3
    assert wrapped.programs == 2


def test_wrap_without_fallback_raises_what_could_not_be_converted():
    from models import Unconverted

    wrapped = ts.compat.wrap(Unconverted(), allow_fallback=False)
    with pytest.raises(ConversionError, match="linalg_ldl_factor"):
        wrapped(torch.randn(4, 4))
    with pytest.raises(RuntimeError, match=r"models.py"):
        ts.compat.wrap(Branching(), allow_fallback=False)(torch.ones(4, 4))


def test_wrap_compiles_a_bounded_number_of_forms(caplog):
    model = nn.Linear(4, 4)
    wrapped = ts.compat.wrap(model, max_signatures=2)
    with torch.no_grad():
        for shape in ((1, 4), (4,), (3, 1, 4), (2, 2, 2, 4), (1, 4), (3, 1, 4)):
            x = torch.randn(shape)
            assert_same(wrapped(x), model(x))
        assert_same(wrapped(ts.from_torch(torch.ones(5, 4))).torch(), model(torch.ones(5, 4)))
        assert wrapped.report.mode == "pytorch"
        (row,) = wrapped.report.unconverted
        assert (row.code, row.op) == ("too-many-forms", "Linear.forward")
        wrapped(torch.randn(1, 4))
        assert wrapped.report.fully_converted
        # Those that were new see other parameters as well.
        model.weight = nn.Parameter(torch.zeros(4, 4))
        assert_same(wrapped(torch.ones(6, 4)), model(torch.ones(6, 4)))
    warnings = [item for item in caplog.records if "more than 2 forms" in item.message]
    assert len(warnings) == 1
    assert "input: float32[3, 1, 4]" in warnings[0].message


def test_wrap_without_fallback_refuses_further_forms():
    wrapped = ts.compat.wrap(nn.ReLU(), allow_fallback=False, max_signatures=1)
    wrapped(torch.ones(1))
    with pytest.raises(ValueError, match=r"more than 1 forms.*\(input: float32\[2\]\)"):
        wrapped(torch.ones(2))
    wrapped(torch.ones(1))
    with pytest.raises(ValueError, match="max_signatures must be a positive integer, not 0"):
        ts.compat.wrap(nn.ReLU(), max_signatures=0)


def test_wrap_takes_modules_only():
    with pytest.raises(TypeError, match=r"torch.nn.Module, not int"):
        ts.compat.wrap(3)
    with pytest.raises(TypeError, match="already"):
        ts.compat.wrap(Doubled())
    wrapped = ts.compat.wrap(nn.ReLU())
    assert ts.compat.wrap(wrapped) is wrapped


def test_a_compat_module_alone_and_in_a_native_tree():
    class Many(nn.Module):
        def forward(self, x):
            return {"double": x * 2, "list": [x, 3]}, None

    class Passing(CompatModule):
        def forward(self, x):
            out = self.torch_mod(torch.from_dlpack(x))
            return out[0]["double"], out[0]["list"][1], out[1]

    class Tree(ts.Module):
        def __init__(self):
            super().__init__()
            self.inner = CompatModule(nn.Linear(4, 4))
            self.outer = Passing(Many())

        def forward(self, x):
            return self.outer(ts.ops.relu(self.inner(x)))

    tree, x = Tree(), torch.randn(2, 4)
    double, number, nothing = tree(ts.from_dlpack(x))
    with torch.no_grad():
        want = tree.inner.torch_mod(x).relu() * 2
    assert_same(double, want)
    assert (number, nothing) == (3, None)
    assert list(tree.state_dict()) == ["inner.torch_mod.weight", "inner.torch_mod.bias"]
