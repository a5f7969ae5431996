# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Layers and functions of ts.nn that PyTorch's own code takes apart, and transformers of layers."""

from __future__ import annotations

import copy
import inspect
import warnings

import pytest
import torch
from equality import as_torch, assert_same, native_and_torch
from torch import nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

import tessera as ts
from tessera.errors import ArgumentError, NotYetSupportedError
from tessera.nn import composites

X, Y = torch.randn(4, 5), torch.randn(4, 5)
POSITIVE, LABELS, SIGNS = X.abs() + 0.1, torch.tensor([0, 3, 2, 4]), torch.tensor([1, -1, 1, -1])
IMAGE = torch.randn(2, 4, 6, 8)
STEPS = torch.randn(3, 2, 5)
INDICES = torch.tensor([[0, 3, 2], [5, 1, 1]])
LINE_MAXIMA = F.max_pool1d(IMAGE[0, :, :1, :].reshape(4, 1, 8), 2, return_indices=True)
MAXIMA = F.max_pool2d(IMAGE, 2, return_indices=True)
VOLUME_MAXIMA = F.max_pool3d(IMAGE[None], 2, return_indices=True)


def state(*shape):
    return torch.randn(shape) / 2


#: Name, arguments of the constructor, arguments of the call.
CASES = [
    ("L1Loss", (), {}, (X, Y)),
    ("MSELoss", (), {"reduction": "sum"}, (X, Y)),
    ("SmoothL1Loss", (), {"beta": 0.5}, (X, Y)),
    ("HuberLoss", (), {"delta": 0.5, "reduction": "none"}, (X, Y)),
    ("CrossEntropyLoss", (), {}, (X, LABELS)),
    (
        "CrossEntropyLoss",
        (),
        {"weight": torch.rand(5), "ignore_index": 3, "label_smoothing": 0.1},
        (X, LABELS),
    ),
    ("CrossEntropyLoss", (), {}, (X, Y.softmax(1))),
    ("CrossEntropyLoss", (), {"reduction": "none"}, (IMAGE, torch.randint(4, (2, 6, 8)))),
    ("NLLLoss", (), {"weight": torch.rand(5)}, (X.log_softmax(1), LABELS)),
    ("PoissonNLLLoss", (), {"full": True}, (X, POSITIVE)),
    ("KLDivLoss", (), {"reduction": "batchmean"}, (X.log_softmax(1), Y.softmax(1))),
    ("BCELoss", (), {}, (X.sigmoid(), Y.sigmoid())),
    ("BCEWithLogitsLoss", (), {"pos_weight": torch.rand(5)}, (X, Y.sigmoid())),
    ("HingeEmbeddingLoss", (), {}, (X[:, 0], SIGNS)),
    ("MarginRankingLoss", (0.2,), {}, (X[:, 0], Y[:, 0], SIGNS)),
    ("SoftMarginLoss", (), {}, (X[:, 0], SIGNS)),
    ("MultiMarginLoss", (), {"p": 2}, (X, LABELS)),
    ("MultiLabelMarginLoss", (), {}, (X, torch.tensor([[3, 0, -1, 1, 2]] * 4))),
    ("MultiLabelSoftMarginLoss", (), {}, (X, (Y > 0).float())),
    ("CosineEmbeddingLoss", (), {"margin": 0.1}, (X, Y, SIGNS)),
    ("TripletMarginLoss", (), {"swap": True}, (X, Y, X + 1)),
    (
        "TripletMarginWithDistanceLoss",
        (),
        {"distance_function": lambda x, y: (x - y).abs().sum(-1)},
        (X, Y, X + 1),
    ),
    ("CosineSimilarity", (), {"dim": 0}, (X, Y)),
    ("PairwiseDistance", (), {"p": 1.0, "keepdim": True}, (X, Y)),
    ("Bilinear", (5, 5, 3), {}, (X, Y)),
    ("EmbeddingBag", (6, 4), {"mode": "sum"}, (INDICES,)),
    ("EmbeddingBag", (6, 4), {"mode": "max", "padding_idx": 2}, (INDICES,)),
    ("EmbeddingBag", (6, 4), {}, (INDICES.flatten(), torch.tensor([0, 2]))),
    ("RReLU", (), {}, (X,)),
    ("AdaptiveMaxPool1d", (3,), {}, (IMAGE[0],)),
    ("AdaptiveMaxPool2d", ((None, 2),), {"return_indices": True}, (IMAGE,)),
    ("AdaptiveMaxPool3d", (2,), {}, (IMAGE,)),
    ("MaxUnpool1d", (2,), {}, LINE_MAXIMA),
    ("MaxUnpool2d", (2,), {}, MAXIMA),
    ("MaxUnpool3d", (2,), {}, VOLUME_MAXIMA),
    ("LPPool1d", (2, 3), {}, (POSITIVE,)),
    ("LPPool2d", (1.5, 2), {"ceil_mode": True}, (IMAGE.abs(),)),
    ("LPPool3d", (2, 2), {}, (IMAGE[None].abs(),)),
    ("Fold", ((6, 8), 2), {"stride": 2}, (torch.randn(2, 16, 12),)),
    ("Unfold", ((2, 3),), {"padding": 1}, (IMAGE,)),
    ("Upsample", (), {"scale_factor": 2, "mode": "bicubic"}, (IMAGE,)),
    ("Upsample", ((9, 5),), {}, (IMAGE,)),
    ("UpsamplingNearest2d", (), {"scale_factor": 3}, (IMAGE,)),
    ("UpsamplingBilinear2d", ((9, 5),), {}, (IMAGE,)),
    ("ChannelShuffle", (2,), {}, (IMAGE,)),
    ("LocalResponseNorm", (2,), {}, (IMAGE,)),
    ("RNN", (5, 4), {}, (STEPS,)),
    ("RNN", (5, 4), {"nonlinearity": "relu", "bias": False}, (STEPS, state(1, 2, 4))),
    ("LSTM", (5, 4), {"num_layers": 2, "bidirectional": True}, (STEPS,)),
    ("LSTM", (5, 4), {"batch_first": True}, (STEPS, (state(1, 3, 4), state(1, 3, 4)))),
    ("LSTM", (5, 4), {"proj_size": 3}, (STEPS[:, 0],)),
    ("GRU", (5, 4), {"num_layers": 2, "batch_first": True}, (STEPS,)),
    ("GRU", (5, 4), {"bidirectional": True}, (STEPS[:, 0], state(2, 4))),
    ("RNNCell", (5, 4), {}, (X,)),
    ("LSTMCell", (5, 4), {}, (X, (state(4, 4), state(4, 4)))),
    ("LSTMCell", (5, 4), {"bias": False}, (X[0],)),
    ("GRUCell", (5, 4), {}, (X, state(4, 4))),
]
#: Layers that PyTorch computes whatever is done: their code looks at data.
IN_PYTORCH = [
    ("GaussianNLLLoss", (X, Y, POSITIVE)),
    ("CTCLoss", (STEPS.log_softmax(-1), INDICES[:, 1:], (3, 3), (2, 2))),
]
CAUSAL = nn.Transformer.generate_square_subsequent_mask(3)
PADDING = torch.tensor([[False, False, True], [False, True, True]])
WIDTHS = {"d_model": 8, "nhead": 2, "dim_feedforward": 12, "dropout": 0.0}
SOURCE, TARGET = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
TRANSFORMERS = [
    ("TransformerEncoderLayer", {**WIDTHS, "batch_first": True}, (SOURCE,), {}),
    (
        "TransformerEncoderLayer",
        {**WIDTHS, "activation": "gelu", "norm_first": True},
        (SOURCE.transpose(0, 1),),
        {"src_mask": CAUSAL, "is_causal": True},
    ),
    (
        "TransformerEncoderLayer",
        {**WIDTHS, "batch_first": True, "activation": nn.SiLU(), "bias": False},
        (SOURCE,),
        {"src_key_padding_mask": PADDING},
    ),
    ("TransformerDecoderLayer", {**WIDTHS, "batch_first": True}, (TARGET, SOURCE), {}),
    (
        "TransformerDecoderLayer",
        {**WIDTHS, "batch_first": True, "norm_first": True},
        (TARGET, SOURCE),
        {"tgt_mask": CAUSAL, "tgt_is_causal": True, "memory_key_padding_mask": PADDING},
    ),
    (
        "Transformer",
        {**WIDTHS, "batch_first": True, "num_encoder_layers": 2, "num_decoder_layers": 2},
        (SOURCE, TARGET),
        {"tgt_mask": CAUSAL},
    ),
]


def check(native, reference, args, kwargs):
    assert list(native.state_dict()) == list(reference.state_dict())
    assert repr(native) == repr(reference)
    assert str(inspect.signature(type(native))) == str(inspect.signature(type(reference)))
    assert not native.load_state_dict(reference.state_dict()).missing_keys
    jitted = ts.jit(copy.deepcopy(native), strict=True)
    tensors = pytree.tree_map_only(torch.Tensor, ts.from_torch, (args, kwargs))
    for training in (True, False):
        for model in (native, reference, jitted):
            model.train(training)
        if training and type(reference) is nn.RReLU:
            continue
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"torch\b.*")
            want = reference(*args, **kwargs)
            got = native(*tensors[0], **tensors[1])
            assert all(isinstance(leaf, ts.Tensor) for leaf in pytree.tree_leaves(got))
            assert_same(as_torch(got), want, rtol=1e-4, atol=1e-5)
            assert_same(native(*args, **kwargs), want, rtol=1e-4, atol=1e-5)
            assert_same(jitted(*args, **kwargs), want, rtol=1e-4, atol=1e-5)
    assert jitted.report.fully_converted


@pytest.mark.parametrize(("name", "args", "kwargs", "inputs"), CASES)
def test_a_layer_is_its_counterpart(name, args, kwargs, inputs):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*PyTorch computes")
        check(*native_and_torch(name, args, kwargs), inputs, {})


@pytest.mark.parametrize(("name", "options", "args", "kwargs"), TRANSFORMERS)
def test_transformers(name, options, args, kwargs):
    check(*native_and_torch(name, (), options), args, kwargs)


@pytest.mark.parametrize("norm", [None, nn.LayerNorm(8)])
def test_stacks_of_layers(norm):
    options = {**WIDTHS, "batch_first": True}
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**options), 2, norm)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**options), 2, norm)
    native = ts.nn.from_torch(encoder)
    assert isinstance(native.layers[1].self_attn, ts.nn.MultiheadAttention)
    assert native.layers[0].linear1.weight is encoder.layers[0].linear1.weight
    check(native, encoder, (SOURCE,), {"mask": CAUSAL})
    check(ts.nn.from_torch(decoder), decoder, (TARGET, SOURCE), {"tgt_mask": CAUSAL})


def test_transformers_say_what_does_not_fit():
    native = ts.nn.Transformer(**WIDTHS, num_encoder_layers=1, num_decoder_layers=1)
    with torch.no_grad():
        with pytest.raises(ArgumentError, match="batch number"):
            native(SOURCE, TARGET[:, :2])
        with pytest.raises(ArgumentError, match="must be equal to d_model"):
            native(SOURCE[..., :4], TARGET)


@pytest.mark.parametrize(("name", "inputs"), IN_PYTORCH)
def test_layers_that_look_at_data(name, inputs):
    native, reference = native_and_torch(name, (), {})
    ts.nn._fallback._told.discard(name)
    with pytest.warns(UserWarning, match=f"ts.nn.{name}: PyTorch computes") as caught:
        assert_same(native(*inputs), reference(*inputs))
    assert caught[0].filename == __file__
    jitted = ts.jit(native)
    assert_same(jitted(*inputs), reference(*inputs))
    assert not jitted.report.fully_converted


def test_recurrent_layers_keep_pytorchs_interface():
    native, reference = native_and_torch("LSTM", (5, 4, 2), {"bidirectional": True, "dropout": 0.5})
    native.flatten_parameters()
    assert [[w.shape for w in ws] for ws in native.all_weights] == [
        [w.shape for w in ws] for ws in reference.all_weights
    ]
    assert ts.nn.LSTM.from_torch(reference).weight_hh_l1 is reference.weight_hh_l1
    with torch.no_grad():
        # Dropout between the layers is drawn anew.
        assert not torch.equal(native(STEPS)[0], native(STEPS)[0])
        with pytest.raises(RuntimeError, match=r"input\.size"):
            native(STEPS[..., :3])
        packed = nn.utils.rnn.pack_sequence([STEPS[:, 0], STEPS[:2, 1]])
        native.eval()
        with pytest.warns(UserWarning, match="PyTorch computes"):
            got = native(packed)
        assert_same(got[0].data, reference.eval()(packed)[0].data)


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("cross_entropy", (X, LABELS), {"label_smoothing": 0.1}),
        ("interpolate", (IMAGE,), {"scale_factor": 0.5, "mode": "bilinear", "antialias": True}),
        ("grid_sample", (IMAGE, torch.rand(2, 3, 3, 2)), {"align_corners": False}),
        ("affine_grid", (torch.randn(2, 2, 3), [2, 4, 3, 3]), {"align_corners": True}),
        ("max_pool2d", (IMAGE, 2), {"return_indices": True}),
        ("pdist", (X,), {}),
        ("softmin", (X,), {"dim": 0}),
        ("dropout2d", (IMAGE,), {"training": False}),
        ("embedding_bag", (INDICES, torch.randn(6, 4)), {"mode": "mean"}),
    ],
)
def test_functions(name, args, kwargs):
    function, original = getattr(ts.nn, name), getattr(F, name)
    want = original(*args, **kwargs)
    assert_same(function(*args, **kwargs), want, rtol=1e-4, atol=1e-5)
    tensors = pytree.tree_map_only(torch.Tensor, ts.from_torch, args)
    assert_same(as_torch(function(*tensors, **kwargs)), want, rtol=1e-4, atol=1e-5)
    jitted = ts.jit(lambda *args: function(*args, **kwargs), strict=True)
    assert_same(jitted(*args), want, rtol=1e-4, atol=1e-5)
    (row,) = jitted.report.nodes
    assert row.op == f"torch.nn.{name}"


def test_every_function_is_pytorchs():
    names = [name for name in vars(composites) if name.islower() and name[0] != "_"]
    for name in (name for name in names if hasattr(F, name)):
        assert name in ts.nn.__all__
        assert getattr(ts.nn, name).__doc__


def test_mistakes_are_pytorchs_complaints():
    with pytest.raises(RuntimeError, match=r"The size of tensor a \(5\) must match"):
        ts.nn.huber_loss(X, Y[:, :2])
    with pytest.raises(ValueError, match=r"Expected input batch_size \(4\) to match"):
        ts.nn.cross_entropy(X, LABELS[:2])
    with pytest.raises(TypeError, match="unexpected keyword argument 'weigth'"):
        ts.nn.mse_loss(X, Y, weigth=3)
    with pytest.raises(ArgumentError, match="requires grad"):
        ts.nn.mse_loss(X.clone().requires_grad_(), Y)
    with pytest.raises(NotYetSupportedError, match="max_norm=1"):
        ts.nn.EmbeddingBag(10, 4, max_norm=1.0)
