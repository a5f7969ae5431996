# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Ten common models from transformers' configurations, with random weights.

Each at its real size, and with few and narrow layers for tests. ``benchmarks.accuracy`` compares
them with float64; ``benchmarks.models`` times them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Arguments = dict[str, Tensor]


@dataclass(frozen=True)
class Architecture:
    """One model. `make` takes transformers, and whether the model is to be small."""

    name: str
    make: Callable[[Any, bool], nn.Module]
    arguments: Callable[[Any, bool], Arguments]

    def build(self, *, small: bool = False) -> tuple[nn.Module, Arguments]:
        """The model in eval mode and the arguments of a call, by name."""
        import transformers

        torch.manual_seed(0)
        model = self.make(transformers, small)
        arguments = self.arguments(model.config, small)
        settle(model, arguments)
        return model.eval(), arguments


def settle(model: nn.Module, arguments: Arguments) -> None:
    """Gives batch norms the statistics of a batch, as training would.

    With the initial ones the activations of a deep network die out, and nothing is left to compare.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    for norm in norms:
        norm.momentum, _ = 1.0, nn.init.uniform_(norm.weight, 0.5, 1.5)
    model.train()
    with torch.no_grad():
        model(**{name: torch.randn(4, *value.shape[1:]) for name, value in arguments.items()})


def _ids(vocabulary: int, *shape: int) -> Tensor:
    return torch.randint(0, vocabulary, shape)


def _image(config: Any, small: bool) -> Arguments:
    return {"pixel_values": torch.randn((2, 3, 64, 64) if small else (1, 3, 224, 224))}


def _text(config: Any, small: bool) -> Arguments:
    return {"input_ids": _ids(config.vocab_size, *((2, 19) if small else (1, 128)))}


def _masked_text(config: Any, small: bool) -> Arguments:
    ids = _text(config, small)["input_ids"]
    mask = torch.ones_like(ids)
    mask[-1, -5:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def _bert(transformers: Any, small: bool) -> nn.Module:
    config = transformers.BertConfig()
    if small:
        config = transformers.BertConfig(
            vocab_size=500,
            hidden_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=256,
        )
    return transformers.BertModel(config)


def _gpt2(transformers: Any, small: bool) -> nn.Module:
    config = transformers.GPT2Config()
    if small:
        config = transformers.GPT2Config(vocab_size=500, n_embd=128, n_layer=2, n_head=2)
    return transformers.GPT2LMHeadModel(config)


def _llama(transformers: Any, small: bool) -> nn.Module:
    """The widths of TinyLlama 1.1B; 4 of its 22 equal layers, since float64 must fit as well."""
    sizes = {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 4}
    heads = {"num_attention_heads": 32, "num_key_value_heads": 4}
    if small:
        sizes = {"hidden_size": 256, "intermediate_size": 352, "num_hidden_layers": 2}
        sizes["vocab_size"] = 500
        heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads))


def _vit(transformers: Any, small: bool) -> nn.Module:
    config = transformers.ViTConfig()
    if small:
        config = transformers.ViTConfig(
            image_size=64,
            hidden_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=256,
        )
    return transformers.ViTModel(config)


def _resnet(transformers: Any, small: bool) -> nn.Module:
    sizes: dict[str, Any] = {"num_labels": 1000}
    if small:
        sizes |= {"embedding_size": 32, "hidden_sizes": [64, 96, 128], "depths": [2, 1, 2]}
    return transformers.ResNetForImageClassification(transformers.ResNetConfig(**sizes))


def _convnext(transformers: Any, small: bool) -> nn.Module:
    sizes: dict[str, Any] = {"num_labels": 1000}
    if small:
        sizes |= {"hidden_sizes": [32, 64, 96], "depths": [1, 2, 1], "num_stages": 3}
    return transformers.ConvNextForImageClassification(transformers.ConvNextConfig(**sizes))


def _efficientnet(transformers: Any, small: bool) -> nn.Module:
    """B0: transformers' defaults are B7's."""
    sizes: dict[str, Any] = {
        "image_size": 224,
        "width_coefficient": 1.0,
        "depth_coefficient": 1.0,
        "hidden_dim": 1280,
        "num_labels": 1000,
    }
    if small:
        sizes |= {"image_size": 64, "width_coefficient": 0.5, "depth_coefficient": 0.4}
        sizes |= {"hidden_dim": 640}
    config = transformers.EfficientNetConfig(**sizes)
    model = transformers.EfficientNetForImageClassification(config)
    # Its window of 1280 pixels, cut to the image, is the whole image; OpenVINO makes nothing of it.
    model.efficientnet.pooler = nn.AdaptiveAvgPool2d(1)
    return model


def _swin(transformers: Any, small: bool) -> nn.Module:
    config = transformers.SwinConfig()
    if small:
        config = transformers.SwinConfig(
            image_size=64, embed_dim=32, depths=[2, 2], num_heads=[1, 2], window_size=4
        )
    return transformers.SwinModel(config)


def _whisper(transformers: Any, small: bool) -> nn.Module:
    config = transformers.WhisperConfig()
    if small:
        layers = {f"{part}_layers": 1 for part in ("encoder", "decoder")}
        heads = {f"{part}_attention_heads": 2 for part in ("encoder", "decoder")}
        widths = {f"{part}_ffn_dim": 256 for part in ("encoder", "decoder")}
        config = transformers.WhisperConfig(
            d_model=128, max_source_positions=100, **layers, **heads, **widths
        )
    return transformers.WhisperModel(config)


def _speech(config: Any, small: bool) -> Arguments:
    frames = 2 * config.max_source_positions
    return {
        "input_features": torch.randn(1, config.num_mel_bins, frames),
        "decoder_input_ids": _ids(config.vocab_size, 1, 16),
    }


def _t5(transformers: Any, small: bool) -> nn.Module:
    config = transformers.T5Config()
    if small:
        config = transformers.T5Config(
            vocab_size=500, d_model=128, d_kv=32, d_ff=256, num_layers=2, num_heads=4
        )
    return transformers.T5ForConditionalGeneration(config)


def _translation(config: Any, small: bool) -> Arguments:
    masked = _masked_text(config, small)
    return {**masked, "decoder_input_ids": _ids(config.vocab_size, len(masked["input_ids"]), 16)}


ARCHITECTURES: dict[str, Architecture] = {
    item.name: item
    for item in (
        Architecture("bert-base", _bert, _masked_text),
        Architecture("gpt2", _gpt2, _text),
        Architecture("llama-1b", _llama, _text),
        Architecture("vit-b16", _vit, _image),
        Architecture("resnet-50", _resnet, _image),
        Architecture("convnext-t", _convnext, _image),
        Architecture("efficientnet-b0", _efficientnet, _image),
        Architecture("swin-t", _swin, _image),
        Architecture("whisper-tiny", _whisper, _speech),
        Architecture("t5-small", _t5, _translation),
    )
}
