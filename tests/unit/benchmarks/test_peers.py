# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""benchmarks/peers.py: a peer computes the model it is given, or says why it does not."""

from __future__ import annotations

import pytest
import torch
from benchmarks import peers
from torch import nn

MODELS = {
    "linear": (lambda: nn.Linear(40, 24), (3, 5, 40)),
    "no bias": (lambda: nn.Linear(40, 24, bias=False), (7, 40)),
    "mlp": (lambda: nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 4)), (9, 8)),
    "conv2d": (lambda: nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2), (2, 4, 9, 9)),
    "conv3d": (lambda: nn.Conv3d(4, 8, 3, dilation=2), (1, 4, 7, 7, 7)),
    # Some of the projections are nn.Linear's subclass, read by its parent.
    "encoder": (lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), (2, 6, 16)),
}


@pytest.mark.parametrize("name", MODELS)
def test_onednn_computes_what_eager_does(name: str) -> None:
    make, shape = MODELS[name]
    model, x = make().eval(), torch.randn(shape)
    result = peers.onednn(model, (x,), 1)()
    assert result.layout == torch.strided
    torch.testing.assert_close(result, model(x), rtol=1e-4, atol=1e-5)


def test_onednn_leaves_the_model_as_it_was() -> None:
    model, x = nn.Linear(8, 8), torch.randn(2, 8)
    peers.onednn(model, (x,), 1)()
    assert "forward" not in vars(model)


@pytest.mark.parametrize("model", [nn.GELU(), nn.Conv1d(2, 2, 3)])
def test_onednn_says_what_it_does_not_take(model: nn.Module) -> None:
    with pytest.raises(peers.NotApplicable, match="no linear layer"):
        peers.onednn(model, (torch.randn(1, 2, 8),), 1)


@pytest.mark.parametrize("name", ["tessera", "eager", "onednn"])
def test_peers_compute_in_bfloat16(name: str) -> None:
    torch.manual_seed(0)
    model, x = nn.Linear(40, 24).eval(), torch.randn(3, 40)
    result = peers.BF16_PEERS[name](model, (x,), 1)()
    with torch.no_grad():
        exact = model(x)
    assert 1e-5 < (result.float() - exact).abs().max() < 5e-2
    assert next(model.parameters()).dtype == torch.float32


def test_every_peer_has_an_answer_for_bfloat16() -> None:
    assert list(peers.BF16_PEERS) == list(peers.PEERS)
    with pytest.raises(peers.NotApplicable, match="bfloat16"):
        peers.BF16_PEERS["onnxruntime"](nn.Linear(2, 2), (torch.randn(2, 2),), 1)
