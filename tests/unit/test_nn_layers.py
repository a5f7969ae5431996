# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Layers of ts.nn beside those of torch.nn: parameters, state, results."""

from __future__ import annotations

import copy
import inspect
from collections import OrderedDict

import pytest
import torch
from equality import as_torch, assert_same, native_and_torch
from test_nn_composites import CASES as COMPOSITES
from test_nn_composites import IN_PYTORCH, TRANSFORMERS
from torch import nn

import tessera as ts
from tessera.errors import ArgumentError, ArgumentTypeError, NotYetSupportedError
from tessera.nn.layers.base import LAYERS, Layer

ROW, IMAGE, VOLUME = (3, 8), (2, 8, 6, 5), (2, 8, 4, 5, 3)

#: Name, arguments of the constructor, shape of the input.
CASES = [
    ("Linear", (8, 5), {}, (2, 3, 8)),
    ("Linear", (8, 5), {"bias": False}, (8,)),
    ("Identity", (3, "ignored"), {}, ROW),
    ("Flatten", (), {}, IMAGE),
    ("Flatten", (2, 3), {}, IMAGE),
    ("Unflatten", (1, (2, 4)), {}, IMAGE),
    ("Conv1d", (8, 4, 3), {"padding": 1, "stride": 2}, (2, 8, 7)),
    ("Conv1d", (8, 4, 3), {"padding": "same"}, (8, 7)),
    ("Conv2d", (8, 6, 3), {"padding": 1, "groups": 2}, IMAGE),
    ("Conv2d", (8, 6, (3, 2)), {"padding": (1, 2), "padding_mode": "reflect"}, IMAGE),
    ("Conv2d", (8, 6, 3), {"padding": "same", "padding_mode": "circular"}, IMAGE),
    ("Conv3d", (8, 4, 2), {"bias": False, "dilation": (2, 1, 1)}, VOLUME),
    ("ConvTranspose1d", (8, 4, 3), {"stride": 2, "padding": 1}, (2, 8, 7)),
    ("ConvTranspose2d", (8, 4, 3), {"stride": 2, "output_padding": 1, "groups": 2}, IMAGE),
    ("ConvTranspose3d", (8, 4, 2), {"bias": False}, VOLUME),
    ("PixelShuffle", (2,), {}, IMAGE),
    ("PixelUnshuffle", (2,), {}, (2, 3, 4, 6)),
    ("LayerNorm", (8,), {}, ROW),
    ("LayerNorm", ((6, 5),), {"elementwise_affine": False, "eps": 1e-3}, IMAGE),
    ("LayerNorm", (8,), {"bias": False}, ROW),
    ("RMSNorm", (8,), {}, ROW),
    ("RMSNorm", (8,), {"eps": 1e-3, "elementwise_affine": False}, ROW),
    ("GroupNorm", (4, 8), {}, IMAGE),
    ("GroupNorm", (2, 8), {"affine": False}, ROW),
    ("BatchNorm1d", (8,), {}, ROW),
    ("BatchNorm1d", (8,), {"momentum": None}, (4, 8, 5)),
    ("BatchNorm1d", (8,), {"track_running_stats": False}, ROW),
    ("BatchNorm2d", (8,), {"affine": False, "momentum": 0.3}, IMAGE),
    ("BatchNorm3d", (8,), {}, VOLUME),
    ("InstanceNorm1d", (8,), {"affine": True}, (2, 8, 7)),
    ("InstanceNorm1d", (8,), {}, (8, 7)),
    ("InstanceNorm2d", (8,), {"track_running_stats": True}, IMAGE),
    ("InstanceNorm3d", (8,), {"affine": True, "track_running_stats": True}, VOLUME),
    ("MaxPool1d", (3,), {"padding": 1}, (2, 8, 7)),
    ("MaxPool2d", (2,), {"stride": 1, "ceil_mode": True}, IMAGE),
    ("MaxPool2d", (2,), {"return_indices": True}, IMAGE),
    ("MaxPool3d", (2,), {}, VOLUME),
    ("AvgPool1d", (3,), {"padding": 1, "count_include_pad": False}, (2, 8, 7)),
    ("AvgPool2d", ((3, 2),), {"divisor_override": 5}, IMAGE),
    ("AvgPool3d", (2,), {"stride": 1}, VOLUME),
    ("AdaptiveAvgPool1d", (3,), {}, (2, 8, 7)),
    ("AdaptiveAvgPool2d", ((None, 2),), {}, IMAGE),
    ("AdaptiveAvgPool2d", (1,), {}, IMAGE),
    ("AdaptiveAvgPool3d", (2,), {}, VOLUME),
    ("Softmax", (-1,), {}, ROW),
    ("Softmax", (), {}, ROW),
    ("LogSoftmax", (0,), {}, ROW),
    ("Softmin", (1,), {}, ROW),
    ("Softmax2d", (), {}, IMAGE),
    ("PReLU", (8,), {}, ROW),
    ("LeakyReLU", (0.2,), {"inplace": True}, ROW),
    ("ELU", (1.5,), {}, ROW),
    ("CELU", (1.5,), {}, ROW),
    ("GELU", (), {"approximate": "tanh"}, ROW),
    ("Hardtanh", (-0.5, 0.7), {}, ROW),
    ("Softplus", (2.0, 1.0), {}, ROW),
    ("Threshold", (0.1, 20.0), {}, ROW),
    ("GLU", (1,), {}, ROW),
    ("Dropout", (0.5,), {}, ROW),
    *[
        (name, (), {}, ROW)
        for name in [
            "ReLU",
            "ReLU6",
            "SELU",
            "GELU",
            "SiLU",
            "Mish",
            "Sigmoid",
            "LogSigmoid",
            "Tanh",
            "Tanhshrink",
            "Hardswish",
            "Hardsigmoid",
            "Hardshrink",
            "Softshrink",
            "Softsign",
        ]
    ],
    *[
        (f"{kind}{dims}d", (2, *value), {}, shape)
        for kind, value in (
            ("ConstantPad", (1.5,)),
            ("ZeroPad", ()),
            ("ReflectionPad", ()),
            ("ReplicationPad", ()),
            ("CircularPad", ()),
        )
        for dims, shape in ((1, (2, 8, 7)), (2, IMAGE), (3, (2, 3, 4, 5, 3)))
    ],
]
#: Layers whose results are random in training.
RANDOM = {"Dropout"}


def assert_state(native, reference):
    state = native.state_dict()
    assert list(state) == list(reference.state_dict())
    for name, value in reference.state_dict().items():
        assert_same(state[name], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "args", "kwargs", "shape"), CASES)
def test_a_layer_is_its_counterpart(name, args, kwargs, shape):
    native, reference = native_and_torch(name, args, kwargs)
    assert_state(native, reference)
    assert repr(native) == repr(reference)
    assert str(inspect.signature(type(native))) == str(inspect.signature(type(reference)))
    jitted = ts.jit(copy.deepcopy(native), strict=name not in RANDOM)
    x = torch.randn(shape)
    with torch.no_grad():
        for training in (True, False):
            for model in (native, reference, jitted):
                model.train(training)
            if training and name in RANDOM:
                continue
            for _ in range(2):
                want = reference(x.clone())
                assert_same(as_torch(native(ts.from_torch(x))), want, rtol=1e-4, atol=1e-5)
                assert_same(jitted(x), want, rtol=1e-4, atol=1e-5)
                assert_state(native, reference)
                assert_state(jitted, reference)
        assert_same(native(x), reference(x), rtol=1e-4, atol=1e-5)
    assert jitted.report.fully_converted


def test_every_layer_has_a_case():
    tested = {name for name, *_ in [*CASES, *COMPOSITES, *IN_PYTORCH, *TRANSFORMERS]}
    elsewhere = {
        "Embedding", "MultiheadAttention", "Sequential", "ModuleList", "ModuleDict",
        "NonDynamicallyQuantizableLinear", "AlphaDropout", "FeatureAlphaDropout",
        "Dropout1d", "Dropout2d", "Dropout3d", "TransformerEncoder", "TransformerDecoder",
    }  # fmt: skip
    assert {kind.__name__ for kind in LAYERS} - tested == elsewhere
    assert tested <= set(ts.nn.__all__)
    for name in ts.nn.__all__:
        assert getattr(ts.nn, name).__doc__


def test_sizes_of_transposed_convolutions():
    native, reference = native_and_torch("ConvTranspose2d", (8, 4, 3), {"stride": 2})
    x = torch.randn(IMAGE)
    with torch.no_grad():
        for size in ((14, 12), (13, 11)):
            want = reference(x, output_size=size)
            assert_same(native(x, output_size=size), want, rtol=1e-4, atol=1e-5)
            assert want.shape[2:] == size


def test_embedding():
    native, reference = native_and_torch("Embedding", (10, 4), {"padding_idx": 2})
    assert_state(native, reference)
    jitted = ts.jit(native, strict=True)
    indices = torch.randint(10, (2, 3))
    with torch.no_grad():
        assert_same(native(indices), reference(indices))
        assert_same(jitted(indices), reference(indices))
    with pytest.raises(NotYetSupportedError, match="max_norm=1"):
        ts.nn.Embedding(10, 4, max_norm=1.0)
    assert ts.nn.Embedding.from_torch(reference).weight is reference.weight


@pytest.mark.parametrize(("name", "shape"), [("Dropout1d", (30, 8)), ("Dropout3d", (30, 2, 2, 2))])
def test_dropout_of_one_sample(name, shape):
    native, _ = native_and_torch(name, (0.5,), {})
    got = native(torch.ones(shape)).flatten(1)
    assert torch.equal(got, got[:, :1].expand_as(got))
    assert got.unique().tolist() == [0.0, 2.0]


@pytest.mark.parametrize("name", ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"])
def test_dropout_in_training(name):
    native, _ = native_and_torch(name, (0.5,), {})
    x = torch.randn(*{"Dropout1d": (20, 30, 4), "Dropout3d": VOLUME}.get(name, (20, 30, 6, 5)))
    jitted = ts.jit(native)
    for model in (native, jitted):
        torch.manual_seed(5)
        got = [model(x) for _ in range(3)]
        assert not torch.equal(got[0], got[1])
        torch.manual_seed(5)
        again = [model(x) for _ in range(3)]
        assert_same(again[-1], got[-1])
        if name != "AlphaDropout":
            share = float((got[2] == 0).float().mean())
            assert abs(share - 0.5) < 0.2
            kept = got[2] != 0
            assert_same(got[2][kept], 2 * x[kept])
    jitted.eval()
    assert_same(jitted(x), x)


# --- attention --------------------------------------------------------------------------------

PADDING = torch.tensor([[False, False, True, True, False], [False, True, False, False, False]])
CAUSAL = nn.Transformer.generate_square_subsequent_mask(4)
ATTENTION = [
    ({}, {}, "self"),
    ({"batch_first": True}, {}, "self"),
    ({"bias": False}, {"need_weights": False}, "self"),
    ({}, {"need_weights": False}, "cross"),
    ({"batch_first": True}, {"average_attn_weights": False}, "cross"),
    ({"kdim": 6, "vdim": 10}, {}, "widths"),
    ({"add_bias_kv": True, "add_zero_attn": True}, {}, "cross"),
    ({"add_bias_kv": True}, {"need_weights": False, "key_padding_mask": PADDING}, "cross"),
    ({}, {"key_padding_mask": PADDING}, "cross"),
    ({}, {"key_padding_mask": PADDING.float() * -9, "attn_mask": torch.randn(4, 5)}, "cross"),
    ({}, {"attn_mask": torch.rand(4, 5) < 0.3, "need_weights": False}, "cross"),
    ({"add_zero_attn": True}, {"attn_mask": torch.rand(4, 5) < 0.3}, "cross"),
    ({}, {"attn_mask": torch.rand(4, 4, 5) < 0.3, "key_padding_mask": PADDING}, "cross"),
    ({}, {"attn_mask": CAUSAL, "is_causal": True, "need_weights": False}, "self"),
    ({}, {"attn_mask": CAUSAL, "is_causal": True}, "self"),
    ({}, {}, "different"),
    ({}, {}, "unbatched"),
]


def attention_inputs(how, batch_first):
    query, key, value = torch.randn(4, 2, 8), torch.randn(5, 2, 8), torch.randn(5, 2, 8)
    if how == "self":
        inputs = (query, query, query)
    elif how == "cross":
        inputs = (query, key, key)
    elif how == "widths":
        inputs = (query, torch.randn(5, 2, 6), torch.randn(5, 2, 10))
    elif how == "unbatched":
        return query[:, 0], key[:, 0], value[:, 0]
    else:
        inputs = (query, key, value)
    moved = {id(item): item.transpose(0, 1).contiguous() for item in inputs}
    return tuple(moved[id(item)] for item in inputs) if batch_first else inputs


@pytest.mark.parametrize(("options", "call", "how"), ATTENTION)
def test_attention(options, call, how):
    native, reference = native_and_torch("MultiheadAttention", (8, 2), options)
    for model in (native, reference):
        torch.manual_seed(3)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.3)
    assert_state(native, reference)
    inputs = attention_inputs(how, options.get("batch_first", False))
    # The same tensor stays the same one.
    kinds = {id(item): ts.from_torch(item) for item in inputs}
    tensors = tuple(kinds[id(item)] for item in inputs)
    jitted = ts.jit(native, strict=True)
    with torch.no_grad():
        want = reference(*inputs, **call)
        assert_same(as_torch(native(*tensors, **call)), want, rtol=1e-4, atol=1e-5)
        assert_same(jitted(*inputs, **call), want, rtol=1e-4, atol=1e-5)
        native.eval()
        assert_same(jitted(*inputs, **call), want, rtol=1e-4, atol=1e-5)


def test_attention_with_dropout():
    native = ts.nn.MultiheadAttention(8, 2, dropout=0.9, batch_first=True)
    x = torch.randn(2, 4, 8)
    with torch.no_grad():
        results = [native(x, x, x)[0] for _ in range(2)]
        assert not torch.equal(*results)
        native.eval()
        assert_same(native(x, x, x)[0], ts.jit(native)(x, x, x)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: m(x, x, x[0]), "all 2-d or all 3-d"),
        (lambda m, x: m(x, x, x[..., :3]), "value must have 8 features"),
        (lambda m, x: m(x, x, x, is_causal=True), "there is none"),
        (
            lambda m, x: m(x, x, x, attn_mask=torch.ones(3, 3)),
            r"attn_mask must have shape \(4, 4\)",
        ),
        (lambda m, x: m(x, x, x, key_padding_mask=torch.ones(4, 2)), r"shape \(2, 4\)"),
        (lambda m, x: m(x, x, x, attn_mask=torch.ones(4, 4).int()), "float dtype or bool"),
    ],
)
def test_attention_says_what_does_not_fit(call, message):
    with torch.no_grad(), pytest.raises((ArgumentError, ArgumentTypeError), match=message):
        call(ts.nn.MultiheadAttention(8, 2), torch.randn(4, 2, 8))


# --- containers -------------------------------------------------------------------------------


def test_a_transformer_block_of_native_layers():
    class Block(ts.Module):
        def __init__(self, d: int, heads: int) -> None:
            super().__init__()
            self.ln1, self.ln2 = ts.nn.LayerNorm(d), ts.nn.LayerNorm(d)
            self.attn = ts.nn.MultiheadAttention(d, heads, batch_first=True)
            self.ffn = ts.nn.Sequential(
                ts.nn.Linear(d, 4 * d), ts.nn.GELU(), ts.nn.Linear(4 * d, d)
            )

        def forward(self, x):
            h = self.ln1(x)
            a, _ = self.attn(h, h, h, need_weights=False)
            x = x + a
            return x + self.ffn(self.ln2(x))

    from models import Block as TorchBlock

    reference, native = TorchBlock(16, 4).eval(), Block(16, 4).eval()
    keys = native.load_state_dict(reference.state_dict())
    assert not keys.missing_keys
    assert not keys.unexpected_keys
    jitted = ts.jit(native, strict=True)
    x = torch.randn(2, 6, 16)
    with torch.no_grad():
        want = reference(x)
        assert_same(native(x), want, rtol=1e-4, atol=1e-5)
        assert_same(jitted(x), want, rtol=1e-4, atol=1e-5)
    assert {row.fqn for row in jitted.report.nodes} >= {"ln1", "attn", "attn.out_proj", "ffn.0"}
    tess = ts.from_pytorch(reference, (x,))
    assert len(jitted.report.kernels) <= len(tess.report.kernels)


def test_sequential():
    model = ts.nn.Sequential(
        OrderedDict(
            first=ts.nn.Linear(4, 4), act=nn.ReLU(), other=nn.AdaptiveLogSoftmaxWithLoss(4, 4, [2])
        )
    )
    assert isinstance(model.act, ts.nn.ReLU)
    assert isinstance(model.other, ts.compat.Wrapped)
    assert list(model.state_dict()) == [
        "first.weight", "first.bias", "other.head.weight", "other.tail.0.0.weight",
        "other.tail.0.1.weight",
    ]  # fmt: skip
    assert [type(item).__name__ for item in model[:2]] == ["Linear", "ReLU"]
    assert list(model[1:]._children) == ["act", "other"]
    assert model[-1] is model.other
    plain = ts.nn.Sequential(ts.nn.Linear(3, 3)).append(ts.nn.ReLU()).extend([ts.nn.Tanh()])
    plain.insert(1, ts.nn.Sigmoid())
    assert [type(item).__name__ for item in plain] == ["Linear", "Sigmoid", "ReLU", "Tanh"]
    del plain[1]
    plain[1] = ts.nn.GELU()
    assert list(plain._children) == ["0", "1", "2"]
    assert type(plain.pop()) is ts.nn.Tanh
    assert len(plain) == 2
    with torch.no_grad():
        x = torch.randn(2, 3)
        assert_same(ts.jit(plain)(x), plain(x))
    assert ts.nn.Sequential()(3) == 3
    with pytest.raises(IndexError, match="out of range for 2"):
        plain[2]
    with pytest.raises(ArgumentTypeError, match="holds modules"):
        plain.append(torch.relu)


def test_lists_and_dictionaries_of_modules():
    class Net(ts.Module):
        def __init__(self):
            super().__init__()
            self.layers = ts.nn.ModuleList(ts.nn.Linear(4, 4) for _ in range(3))
            self.heads = ts.nn.ModuleDict({"a": ts.nn.ReLU(), "b": ts.nn.Tanh()})

        def forward(self, x, head):
            for layer in self.layers:
                x = layer(x)
            return self.heads[head](x)

    net = Net()
    assert "layers.2.bias" in net.state_dict()
    assert (len(net.layers), len(net.heads), "a" in net.heads) == (3, 2, True)
    assert net.layers[1] in net.layers
    assert list(net.heads) == list(net.heads.keys()) == ["a", "b"]
    jitted, x = ts.jit(net, strict=True), torch.randn(2, 4)
    with torch.no_grad():
        for head in ("a", "b"):
            assert_same(jitted(x, head), net(x, head))
        del net.layers[0]
        net.heads["a"] = ts.nn.Sigmoid()
        assert_same(jitted(x, "a"), net(x, "a"))
    assert len(net.layers + net.layers) == 4
    net.layers += [ts.nn.ReLU()]
    assert list(net.layers._children) == ["0", "1", "2"]
    assert type(net.heads.pop("b")) is ts.nn.Tanh
    with pytest.raises(ArgumentTypeError, match="without dots"):
        net.heads["a.b"] = ts.nn.ReLU()


def test_native_trees_from_pytorch():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ModuleDict({"x": nn.ReLU()})["x"],
        nn.Flatten(),
        nn.Sequential(nn.Linear(64, 8), nn.Bilinear(1, 1, 1).eval()),
    )[:4].eval()
    native = ts.nn.from_torch(model)
    assert isinstance(native[1], ts.nn.BatchNorm2d)
    assert not native[1].training
    assert native[0].weight is model[0].weight
    x = torch.randn(2, 3, 6, 6)
    with torch.no_grad():
        assert_same(ts.jit(native, strict=True)(x), model(x), rtol=1e-4, atol=1e-5)
    hooked = nn.Linear(2, 2)
    hooked.register_forward_hook(lambda *_: None)
    assert isinstance(ts.nn.from_torch(hooked), ts.compat.Wrapped)
    weighted = torch.nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    assert isinstance(ts.nn.from_torch(weighted), ts.compat.Wrapped)
    with pytest.raises(ArgumentTypeError, match=r"torch\.nn\.Linear, not ReLU"):
        ts.nn.Linear.from_torch(nn.ReLU())
    with pytest.raises(ArgumentTypeError, match="not int"):
        ts.nn.from_torch(3)


def test_wrong_arguments_are_pytorchs_complaints():
    with pytest.raises(TypeError, match="out_features"):
        ts.nn.Linear(3)
    with pytest.raises(ArgumentError, match="device='meta'"):
        ts.nn.Linear(3, 3, device="meta")
    with torch.no_grad():
        with pytest.raises(ArgumentError, match="expected a 4-d input"):
            ts.nn.BatchNorm2d(3)(torch.ones(3, 3))
        with pytest.raises(ArgumentError, match="more than one value a channel"):
            ts.nn.BatchNorm1d(3)(torch.ones(1, 3))


def test_other_dtypes():
    model = ts.nn.Sequential(ts.nn.Linear(4, 4), ts.nn.BatchNorm1d(4), ts.nn.Linear(4, 4)).eval()
    model[2].weight = model[0].weight
    jitted, x = ts.jit(model, strict=True), torch.randn(3, 4)
    before = jitted(x)
    assert model.double() is model
    assert model[2].weight is model[0].weight
    assert model[1].running_var.dtype == torch.float64
    assert model[1].num_batches_tracked.dtype == torch.int64
    assert_same(jitted(x.double()), before.double(), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert_same(jitted(x.double()), model(x.double()))


def test_layers_are_for_subclassing():
    class Scaled(ts.nn.Linear):
        def forward(self, input):
            return super().forward(input) * 2

    assert issubclass(Scaled, Layer)
    layer = Scaled(3, 3)
    with torch.no_grad():
        x = torch.randn(2, 3)
        assert_same(layer(x), 2 * nn.functional.linear(x, layer.weight, layer.bias))
    assert repr(layer).startswith("Scaled(in_features=3")
