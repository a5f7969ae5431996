# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The operators PyTorch fuses multi-head attention and encoder layers into."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tessera as ts

MASKS = {
    "none": (None, None),
    "pairs": (torch.rand(5, 5) < 0.3, 0),
    "keys": (torch.tensor([[False] * 5, [False, True, True, False, False]]), 1),
    "all": (torch.rand(2, 4, 5, 5) < 0.3, 2),
    "nothing to see": (torch.eye(5, dtype=torch.bool)[2].expand(5, 5).T.contiguous(), 0),
}


class Fused(nn.Module):
    """The operator, over the parameters of a module of torch.nn."""

    def __init__(self, call) -> None:
        super().__init__()
        self.inner = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True).eval()
        self.call = call
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.3)

    def forward(self, x, mask):
        return self.call(self.inner, x, mask)


def attention(weights, average, mask_type):
    def call(layer, x, mask):
        a = layer.self_attn
        return torch._native_multi_head_attention(
            x, x, x, 16, 4, a.in_proj_weight, a.in_proj_bias, a.out_proj.weight, a.out_proj.bias,
            mask, weights, average, mask_type,
        )[: 1 + weights]  # fmt: skip

    return call


def encoder(use_gelu, norm_first, mask_type):
    def call(layer, x, mask):
        a = layer.self_attn
        return torch._transformer_encoder_layer_fwd(
            x, 16, 4, a.in_proj_weight, a.in_proj_bias, a.out_proj.weight, a.out_proj.bias,
            use_gelu, norm_first, 1e-5, layer.norm1.weight, layer.norm1.bias, layer.norm2.weight,
            layer.norm2.bias, layer.linear1.weight, layer.linear1.bias, layer.linear2.weight,
            layer.linear2.bias, mask, mask_type,
        )  # fmt: skip

    return call


def check(call, mask):
    model, x = Fused(call), torch.randn(2, 5, 16)
    with torch.no_grad():
        want = model(x, mask)
        tess = ts.from_pytorch(model, (x, mask), strict=True)
        torch.testing.assert_close(tess(x, mask), want, rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("weights", [True, False])
def test_multi_head_attention(mask, weights, average):
    tensor, kind = MASKS[mask]
    check(attention(weights, average, kind), tensor)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("use_gelu", [True, False])
def test_encoder_layers(mask, use_gelu, norm_first):
    tensor, kind = MASKS[mask]
    check(encoder(use_gelu, norm_first, kind), tensor)


def test_encoders_under_torch_compile():
    layer = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True, activation="gelu")
    model = nn.TransformerEncoder(layer, 2).eval()
    torch._dynamo.reset()
    fast = torch.compile(model, backend="tessera")
    x = torch.randn(2, 5, 16)
    with torch.no_grad():
        torch.testing.assert_close(fast(x), model(x), rtol=1e-4, atol=1e-5)
    assert ts.compat.compiled_graphs()[-1].report.fully_converted
