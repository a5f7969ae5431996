# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Networks of convolutions, small, from Hugging Face's configurations with random weights.

Strict and without an island, no further from float64 than twice as far as PyTorch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import tessera as ts

transformers = pytest.importorskip("transformers")


def _resnet() -> nn.Module:
    return transformers.ResNetForImageClassification(
        transformers.ResNetConfig(
            embedding_size=16, hidden_sizes=[32, 64, 96], depths=[2, 1, 1], layer_type="bottleneck"
        )
    )


def _convnext() -> nn.Module:
    return transformers.ConvNextForImageClassification(
        transformers.ConvNextConfig(hidden_sizes=[16, 32, 48], depths=[1, 2, 1], num_stages=3)
    )


def _efficientnet() -> nn.Module:
    return transformers.EfficientNetForImageClassification(
        transformers.EfficientNetConfig(
            image_size=48,
            width_coefficient=0.5,
            depth_coefficient=0.4,
            hidden_dim=640,
            squeeze_expansion_ratio=0.25,
        )
    )


def _mobilenet() -> nn.Module:
    return transformers.MobileNetV2ForImageClassification(
        transformers.MobileNetV2Config(image_size=48, depth_multiplier=0.35)
    )


def _regnet() -> nn.Module:
    return transformers.RegNetForImageClassification(
        transformers.RegNetConfig(
            embedding_size=16, hidden_sizes=[32, 64], depths=[1, 2], groups_width=8
        )
    )


def _swin() -> nn.Module:
    return transformers.SwinForImageClassification(
        transformers.SwinConfig(
            image_size=48, embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=4
        )
    )


def _segformer() -> nn.Module:
    return transformers.SegformerForSemanticSegmentation(
        transformers.SegformerConfig(
            depths=[1, 1, 1, 1],
            hidden_sizes=[16, 24, 32, 48],
            num_attention_heads=[1, 2, 2, 4],
            decoder_hidden_size=32,
        )
    )


def _whisper() -> nn.Module:
    config = transformers.WhisperConfig(
        d_model=48,
        encoder_layers=2,
        encoder_attention_heads=3,
        encoder_ffn_dim=96,
        max_source_positions=50,
        num_mel_bins=20,
    )
    return transformers.models.whisper.modeling_whisper.WhisperEncoder(config)


def _wav2vec2() -> nn.Module:
    return transformers.Wav2Vec2Model(
        transformers.Wav2Vec2Config(
            hidden_size=48,
            num_hidden_layers=1,
            num_attention_heads=3,
            intermediate_size=96,
            conv_dim=(24, 24, 24),
            conv_kernel=(10, 3, 2),
            conv_stride=(5, 2, 2),
            num_feat_extract_layers=3,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=4,
            apply_spec_augment=False,
        )
    )


IMAGE = (2, 3, 48, 48)
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "ResNet": (_resnet, IMAGE),
    "ConvNeXt": (_convnext, IMAGE),
    "EfficientNet": (_efficientnet, IMAGE),
    "MobileNet": (_mobilenet, IMAGE),
    "RegNet": (_regnet, IMAGE),
    "Swin": (_swin, IMAGE),
    "Segformer": (_segformer, (2, 3, 64, 64)),
    "Whisper": (_whisper, (2, 20, 100)),
    "Wav2Vec2": (_wav2vec2, (2, 800)),
}


def _made(name: str) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model = make().eval()
    for module in model.modules():
        # Statistics as training leaves them, not zeros and ones.
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model, torch.randn(shape)


def _tensors(output: Any) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_equals_pytorch(name: str) -> None:
    model, x = _made(name)
    with torch.no_grad():
        converted = ts.from_pytorch(model, example_inputs=(x,), strict=True)
        got, eager = _tensors(converted(x)), _tensors(model(x))
        exact = _tensors(copy.deepcopy(model).double()(x.double()))
    assert not [row for row in converted.report.nodes if row.status == "island"]
    assert len(got) == len(eager) == len(exact)
    for ours, theirs, wanted in zip(got, eager, exact, strict=True):
        allowed = 2 * (theirs - wanted).abs().max() + 1e-6 * wanted.abs().max()
        assert (ours - wanted).abs().max() <= allowed


def test_pixels_stay_in_order() -> None:
    """Between the first convolution and the last nothing is transposed: besides products, sums
    over windows and the pool, only borders and windows are written."""
    model, x = _made("ResNet")
    converted = ts.from_pytorch(model, example_inputs=(x,), strict=True)
    moves = [row for row in converted.report.kernels if row.kind == "elementwise"]
    wide = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert len(moves) <= 2 * sum(c.kernel_size != (1, 1) or c.stride != (1, 1) for c in wide) + 2
