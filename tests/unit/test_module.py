# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What people expect of a model object, for converted and for native modules."""

from __future__ import annotations

import copy
import io
import pickle
import sys

import pytest
import torch
from equality import assert_same
from models import Block, Mutating
from torch import nn

import tessera as ts
from tessera.compiled import CompiledModule


class Native(ts.Module):
    """Parameters of every kind, and children of both kinds."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))
        self.register_buffer("kept", torch.ones(4))
        self.register_buffer("dropped", torch.ones(4), persistent=False)
        self.inner = nn.Linear(4, 4)
        self.number = 3

    def forward(self, x):
        return ts.ops.add(ts.ops.matmul(x, ts.from_dlpack(self.weight.detach())), 1.0)


@pytest.fixture
def pair():
    model, x = Block(16, 2).eval(), torch.randn(1, 4, 16)
    return model, ts.from_pytorch(model, (x,)), x


def test_the_tree_mirrors_the_models(pair):
    model, tess, _ = pair
    assert [name for name, _ in tess.named_modules()] == [name for name, _ in model.named_modules()]
    assert [name for name, _ in tess.named_parameters()] == [
        name for name, _ in model.named_parameters()
    ]
    assert [name for name, _ in tess.named_children()] == ["ln1", "attn", "ln2", "ffn"]
    assert tess.attn.in_proj_weight is model.attn.in_proj_weight
    assert tess.get_parameter("ffn.0.weight") is model.ffn[0].weight
    assert tess.get_submodule("ffn.2").weight is model.ffn[2].weight
    assert tess.ln1.eps == 1e-5
    assert tess.attn.num_heads == 2
    assert len(tess.ffn) == 3
    assert next(iter(tess.ffn)) is tess.ffn[0]
    assert {"ln1", "attn"} <= set(dir(tess))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tess.nothing
    with pytest.raises(AttributeError, match="method of the PyTorch class"):
        _ = tess.attn.merge_masks


def test_children_can_be_called(pair):
    model, tess, x = pair
    assert_same(tess.ffn(x), model.ffn(x), atol=1e-5, rtol=1e-5)
    assert tuple(tess.ln1(torch.randn(3, 16)).shape) == (3, 16)


def test_state_dicts_go_both_ways(pair):
    model, tess, x = pair
    assert_same(dict(tess.state_dict()), dict(model.state_dict()))
    other = Block(16, 2).eval()
    result = tess.load_state_dict(other.state_dict())
    assert not result.missing_keys
    assert_same(tess(x), other(x), atol=1e-5, rtol=1e-5)
    assert_same(model(x), other(x))
    state = tess.state_dict()
    del state["ln1.weight"]
    state["extra"] = torch.ones(1)
    with pytest.raises(RuntimeError, match=r"(?s)ln1.weight.*"):
        tess.load_state_dict(state)
    assert tess.load_state_dict(state, strict=False).unexpected_keys == ["extra"]


def test_state_dicts_with_a_replaced_child(pair):
    model, tess, _ = pair
    tess.attn = ts.compat.wrap(copy.deepcopy(model.attn))
    assert list(tess.state_dict()) == list(model.state_dict())
    state = {key: torch.zeros_like(value) for key, value in model.state_dict().items()}
    tess.load_state_dict(state)
    assert not any(bool(value.any()) for value in tess.state_dict().values())
    with pytest.raises(ValueError, match=r"size mismatch for ln1.weight"):
        tess.load_state_dict({**state, "ln1.weight": torch.ones(3)})
    with pytest.raises(ValueError, match=r"Missing key\(s\) in state_dict: \"ln1.weight\""):
        tess.load_state_dict({key: state[key] for key in state if key != "ln1.weight"})


def test_modes_are_two_programs_over_one_store():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).eval()
    reference, x = copy.deepcopy(model), torch.randn(8, 4)
    tess = ts.from_pytorch(model, (x,))
    assert_same(tess(x), reference(x))
    assert tess.train() is tess
    reference.train()
    assert tess.training
    assert tess[1].training
    assert not model.training
    with torch.no_grad():
        assert_same(tess(x), reference(x))
    assert_same(dict(tess.named_buffers()), dict(reference.named_buffers()))
    tess.eval()
    reference.eval()
    assert_same(tess(x), reference(x))
    tess[1].train()
    reference[1].train()
    assert_same(tess(x), reference(x))


@pytest.mark.parametrize(
    "how",
    [
        copy.deepcopy,
        lambda tess: pickle.loads(pickle.dumps(tess)),
    ],
)
def test_copies_are_apart(pair, how):
    model, tess, x = pair
    tess.ffn[1] = ts.compat.wrap(nn.ReLU())
    want = tess(x)
    twin = how(tess)
    assert torch.equal(twin(x), want)
    with torch.no_grad():
        model.ln1.weight.zero_()
    assert torch.equal(twin(x), want)
    assert twin.ffn[1].calls == 2


def test_saving_and_loading(pair):
    _, tess, x = pair
    buffer = io.BytesIO()
    torch.save(tess, buffer)
    buffer.seek(0)
    assert torch.equal(torch.load(buffer, weights_only=False)(x), tess(x))
    buffer = io.BytesIO()
    torch.save(tess.state_dict(), buffer)
    buffer.seek(0)
    assert tess.load_state_dict(torch.load(buffer)).missing_keys == []


def test_what_is_not_there_yet_says_so(pair):
    _, tess, _ = pair
    assert tess.to("cpu") is tess
    assert tess.cpu() is tess
    assert tess.float() is tess
    for call in (tess.cuda, tess.half, lambda: tess.to("cuda:0"), lambda: tess.to(torch.float64)):
        with pytest.raises(NotImplementedError) as caught:
            call()
        assert caught.value.remedy
    with pytest.raises(NotImplementedError, match="hooks"):
        tess.register_forward_hook(print)


def test_repr_shows_tree_and_outcome(pair):
    _, tess, _ = pair
    text = repr(tess)
    assert "(ln1): ts.LayerNorm((16,)" in text
    assert "0 PyTorch islands" in text


def test_the_report(pair):
    _, tess, x = pair
    report = tess.report
    data = __import__("json").loads(report.to_json())
    assert data["format"] == 1
    assert {row["fqn"] for row in data["nodes"]} >= {"ln1", "attn", "ffn.0"}
    assert all(row["status"] in ("compiled", "decomposed", "folded") for row in data["nodes"])
    assert {"capture", "import", "compile"} <= data["timings"].keys()
    assert report.tessera_ms == report.timings["import"] + report.timings["compile"]
    assert "launches" in str(report)
    profiled = tess.profile(x)
    assert profiled.timings["call"] > 0


def test_explain_prints(pair, capsys):
    _, tess, _ = pair
    tess.explain(nodes=True)
    text = capsys.readouterr().out
    assert "Block" in text
    assert "layer_norm" in text


def test_ir_of_every_level(pair):
    _, tess, _ = pair
    for level in ("graph", "schedule", "tile", "target", "llvm", "asm"):
        assert tess.ir(level)
    with pytest.raises(ValueError, match="nonsense"):
        tess.ir("nonsense")
    assert "models.py" in tess.ir("graph", locations=True)


def test_native_modules():
    module = Native()
    assert [name for name, _ in module.named_parameters()] == [
        "weight",
        "inner.weight",
        "inner.bias",
    ]
    assert [name for name, _ in module.named_buffers()] == ["kept", "dropped"]
    assert list(module.state_dict()) == ["weight", "kept", "inner.weight", "inner.bias"]
    assert [name for name, _ in module.named_modules()] == ["", "inner"]
    x = torch.randn(2, 4)
    assert_same(module(ts.from_dlpack(x)).torch(), (x @ module.weight + 1).detach())
    module.eval()
    assert not module.inner.training
    twin = copy.deepcopy(module)
    assert twin.weight is not module.weight
    assert torch.equal(pickle.loads(pickle.dumps(module)).weight, module.weight)
    state = {key: torch.zeros_like(value) for key, value in module.state_dict().items()}
    module.load_state_dict(state)
    assert not module.weight.any()
    with pytest.raises(TypeError, match="child 'inner'"):
        module.inner = 3
    del module.inner
    assert not hasattr(module, "inner")
    with pytest.raises(NotImplementedError, match="forward"):
        ts.Module()(1)


def test_forgetting_super_init_is_explained():
    class Forgetful(ts.Module):
        def __init__(self):
            self.weight = nn.Parameter(torch.ones(1))

    with pytest.raises(AttributeError, match="super"):
        Forgetful()


def test_buffers_written_by_the_program_are_the_models():
    model = Mutating()
    tess = ts.from_pytorch(model, (torch.ones(3, 3),))
    tess(torch.ones(3, 3))
    tess(torch.ones(3, 3))
    assert model.count.item() == 2


class OwnWeight(ts.Module):
    """A native module that computes with its own parameter."""

    def __init__(self, how):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))
        self.how = how

    def forward(self, x):
        return self.how(x, self.weight)


@pytest.mark.parametrize(
    ("how", "name"),
    [
        (lambda x, weight: ts.nn.linear(x, weight), "weight"),
        (lambda x, weight: x @ weight, "other"),
        (lambda x, weight: weight * x, "input"),
        (lambda x, weight: ts.ops.cat([x, weight]), "tensors"),
    ],
)
def test_own_parameters_need_no_grad(how, name):
    """Where gradients are on, the error says which operand it is and both ways out."""
    module, x = OwnWeight(how), ts.tensor(torch.randn(4, 4))
    message = rf"(?s)argument '{name}' is a parameter of shape \(4, 4\) that requires grad.*"
    remedies = r"with torch\.no_grad\(\): module\(x\).*module\.requires_grad_\(False\)"
    with pytest.raises(ts.errors.ArgumentError, match=message + remedies):
        module(x)
    with torch.no_grad():
        expected = module(x)
    assert_same(module.requires_grad_(False)(x).torch(), expected.torch())


def test_a_tensor_with_gradients_is_named():
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(ts.errors.ArgumentError, match=r"(?s)\[add\] argument 'other'.*detach"):
        ts.ops.add(ts.tensor([1.0, 2.0]), x)


def test_a_call_runs_no_python_code():
    tess = ts.from_pytorch(nn.Linear(4, 4).eval(), example_inputs=(torch.randn(2, 4),))
    x = torch.randn(2, 4)
    tess(x)  # shows that no result is an argument
    entered = []
    sys.setprofile(lambda frame, event, _: event == "call" and entered.append(frame.f_code.co_name))
    try:
        y = tess(x)
        bound = tess.__call__
        z = bound(x)
    finally:
        sys.setprofile(None)
    assert not entered
    assert_same(y, z)


def test_the_call_has_the_names_of_a_method():
    call = CompiledModule.__call__
    assert call.__name__ == "__call__"
    assert call.__qualname__ == "CompiledModule.__call__"
    assert call.__module__ == "tessera.compiled"
    with pytest.raises(AttributeError, match="_call"):
        call(3, torch.randn(1))
