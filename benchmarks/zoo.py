# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What is measured: kernels in the smallest module that holds them, models with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.architectures import ARCHITECTURES, Architecture, settle
from benchmarks.mobilenet import MobileNetV3

Made = tuple[nn.Module, tuple[Tensor, ...]]


@dataclass(frozen=True)
class Case:
    """One row of a table. `work` a call: operations (bound "flops") or bytes moved ("bytes").

    None: the operations of its products and convolutions, counted on a call. With the precision
    "bf16" peers may round the operands of products, or the model as a whole.
    """

    name: str
    make: Callable[[], Made]
    work: float | None
    bound: str = "flops"
    precision: str = "fp32"


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def _linear(m: int, n: int, k: int) -> Case:
    def make() -> Made:
        return nn.Linear(k, n), (torch.randn(m, k),)

    return Case(f"linear {m}x{n}x{k}", make, 2.0 * m * n * k)


def _matmul(b: int, m: int, n: int, k: int) -> Case:
    def make() -> Made:
        return Function(torch.matmul), (torch.randn(b, m, k), torch.randn(b, k, n))

    return Case(f"bmm {b}x{m}x{n}x{k}", make, 2.0 * b * m * n * k)


class Attention(nn.Module):
    """Attention read from a fused projection, with a mask as a buffer."""

    mask: Tensor | None

    def __init__(self, heads: int, mask: Tensor | None, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.register_buffer("mask", mask)

    def forward(self, qkv: Tensor) -> Tensor:
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask, is_causal=self.causal)


def _attention(b: int, h: int, s: int, d: int, kind: str) -> Case:
    def make() -> Made:
        mask = None
        if kind == "bool":
            mask = torch.rand(b, 1, s, s) > 0.2
        elif kind == "additive":
            mask = torch.randn(s, s)
        return Attention(h, mask, kind == "causal"), (torch.randn(b, s, 3 * h * d),)

    work = 4.0 * b * h * s * s * d * (0.5 if kind == "causal" else 1.0)
    return Case(f"attention {kind} {b}x{h}x{s}x{d}", make, work)


def _rows(name: str, module: Callable[[], nn.Module], shape: tuple[int, ...]) -> Case:
    def make() -> Made:
        return module(), (torch.randn(shape),)

    elements = 1
    for size in shape:
        elements *= size
    return Case(f"{name} {'x'.join(map(str, shape))}", make, 8.0 * elements, "bytes")


KERNELS: list[Case] = [
    _linear(1024, 1024, 1024),
    _linear(8192, 512, 512),
    _linear(8192, 2048, 512),
    _linear(8192, 512, 2048),
    _linear(128, 768, 768),
    _linear(16, 4096, 4096),
    _linear(1, 4096, 4096),
    _matmul(64, 256, 256, 256),
    _attention(8, 8, 1024, 64, "plain"),
    _attention(8, 8, 1024, 64, "causal"),
    _attention(8, 8, 1024, 64, "additive"),
    _attention(8, 8, 1024, 64, "bool"),
    _rows("layer_norm", lambda: nn.LayerNorm(512), (8192, 512)),
    _rows("gelu", nn.GELU, (8192, 2048)),
    _rows("softmax", lambda: nn.Softmax(-1), (8192, 2048)),
]


class Block(nn.Module):
    """The guide's Mini-Transformer block."""

    def __init__(self, d: int, heads: int, mlp: int = 4) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(d)
        self.attn = nn.MultiheadAttention(d, heads, batch_first=True)
        self.ln2 = nn.LayerNorm(d)
        self.ffn = nn.Sequential(nn.Linear(d, mlp * d), nn.GELU(), nn.Linear(mlp * d, d))

    def forward(self, x: Tensor) -> Tensor:
        h = self.ln1(x)
        h, _ = self.attn(h, h, h, need_weights=False)
        x = x + h
        return x + self.ffn(self.ln2(x))


class Layer(nn.Module):
    """A transformer layer with separate projections, normalized before or after."""

    def __init__(self, d: int, heads: int, first: bool, causal: bool) -> None:
        super().__init__()
        self.heads, self.first, self.causal = heads, first, causal
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def attend(self, x: Tensor) -> Tensor:
        def split(t: Tensor) -> Tensor:
            return t.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

        y = F.scaled_dot_product_attention(
            split(self.q(x)), split(self.k(x)), split(self.v(x)), is_causal=self.causal
        )
        return self.o(y.transpose(-3, -2).flatten(-2))

    def forward(self, x: Tensor) -> Tensor:
        if self.first:
            x = x + self.attend(self.ln1(x))
            return x + self.down(F.gelu(self.up(self.ln2(x))))
        x = self.ln1(x + self.attend(x))
        return self.ln2(x + self.down(F.gelu(self.up(x))))


class Encoder(nn.Module):
    """BERT's shape: token, position and type embeddings, layers normalized after, a pooler."""

    def __init__(self, vocabulary: int, d: int, heads: int, layers: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, d), nn.Embedding(512, d)
        self.norm = nn.LayerNorm(d)
        self.layers = nn.ModuleList(
            Layer(d, heads, first=False, causal=False) for _ in range(layers)
        )
        self.pooler = nn.Linear(d, d)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        positions = torch.arange(ids.shape[1])
        x = self.norm(self.tokens(ids) + self.positions(positions))
        for layer in self.layers:
            x = layer(x)
        return x, torch.tanh(self.pooler(x[:, 0]))


class Decoder(nn.Module):
    """GPT-2's shape: causal layers normalized before, logits by the token embedding."""

    def __init__(self, vocabulary: int, d: int, heads: int, layers: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, d), nn.Embedding(1024, d)
        self.layers = nn.ModuleList(Layer(d, heads, first=True, causal=True) for _ in range(layers))
        self.norm = nn.LayerNorm(d)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        for layer in self.layers:
            x = layer(x)
        return F.linear(self.norm(x), self.tokens.weight)


class Gated(nn.Module):
    """A Llama layer for one token: RMSNorm, rotary positions, a key-value cache, SwiGLU."""

    def __init__(self, d: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(d, eps=1e-5), nn.RMSNorm(d, eps=1e-5)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.gate, self.up = (nn.Linear(d, hidden, bias=False) for _ in range(2))
        self.down = nn.Linear(hidden, d, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        def split(t: Tensor) -> Tensor:
            return t.unflatten(-1, (self.heads, -1)).transpose(-3, -2)

        def rotate(t: Tensor) -> Tensor:
            low, high = t.chunk(2, dim=-1)
            return t * cos + torch.cat((-high, low), dim=-1) * sin

        h = self.norm1(x)
        keys = torch.cat((keys, rotate(split(self.k(h)))), dim=-2)
        values = torch.cat((values, split(self.v(h))), dim=-2)
        y = F.scaled_dot_product_attention(rotate(split(self.q(h))), keys, values)
        x = x + self.o(y.transpose(-3, -2).flatten(-2))
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h)), keys, values


class Step(nn.Module):
    """A step of decoding: a token and the cache before it to logits and the longer cache."""

    def __init__(self, vocabulary: int, d: int, heads: int, layers: int, hidden: int) -> None:
        super().__init__()
        self.half = d // heads // 2
        self.tokens = nn.Embedding(vocabulary, d)
        self.layers = nn.ModuleList(Gated(d, heads, hidden) for _ in range(layers))
        self.norm = nn.RMSNorm(d, eps=1e-5)
        self.head = nn.Linear(d, vocabulary, bias=False)
        frequencies = 10000.0 ** (-torch.arange(self.half) / self.half)
        self.register_buffer("frequencies", frequencies)

    def forward(
        self, ids: Tensor, position: Tensor, *cache: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        x = self.tokens(ids)
        angles = (position[:, None] * self.frequencies).repeat(1, 2)
        cos, sin = angles.cos(), angles.sin()
        longer: list[Tensor] = []
        for i, layer in enumerate(self.layers):
            x, keys, values = layer(x, cos, sin, cache[2 * i], cache[2 * i + 1])
            longer += [keys, values]
        return self.head(self.norm(x)), tuple(longer)


def _block() -> Made:
    return Block(512, 8), (torch.randn(8, 1024, 512),)


def _mlp() -> Made:
    model = nn.Sequential(nn.Linear(1024, 4096), nn.GELU(), nn.Linear(4096, 1024))
    return model, (torch.randn(32, 1024),)


def _tiny() -> Made:
    model = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.LayerNorm(64), nn.Linear(64, 10))
    return model, (torch.randn(1, 64),)


def _bert() -> Made:
    return Encoder(30522, 768, 12, 12), (torch.randint(0, 30522, (1, 128)),)


def _gpt2() -> Made:
    return Decoder(50257, 768, 12, 12), (torch.randint(0, 50257, (1, 256)),)


def _decode(length: int) -> Made:
    cache = [torch.randn(1, 12, length, 64) for _ in range(2 * 12)]
    model = Step(50257, 768, 12, 12, 2048)
    return model, (torch.randint(0, 50257, (1, 1)), torch.tensor([length]), *cache)


def _decode_bytes(length: int) -> float:
    """Weights and cache, each read once."""
    weights = 12 * (4 * 768 * 768 + 3 * 768 * 2048) + 768 * 50257
    return 4.0 * (weights + 12 * 2 * length * 768)


class ByName(nn.Module):
    """A model whose arguments are given by position."""

    def __init__(self, model: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs: Tensor) -> Any:
        return self.model(**dict(zip(self.names, inputs, strict=True)))


def _transformers(architecture: Architecture) -> Case:
    def make() -> Made:
        model, arguments = architecture.build()
        return ByName(model, list(arguments)), tuple(arguments.values())

    return Case(f"transformers {architecture.name}", make, None)


def _mobilenet() -> Made:
    model, image = MobileNetV3(), torch.randn(1, 3, 224, 224)
    settle(model, {"x": image})
    return model, (image,)


def _layer_flops(tokens: int, d: int) -> float:
    return 24.0 * tokens * d * d + 4.0 * tokens * tokens * d


MODELS: list[Case] = [
    Case("block 8x1024x512", _block, 8 * _layer_flops(1024, 512)),
    Case("mlp 32x1024-4096-1024", _mlp, 2.0 * 32 * 2 * 1024 * 4096),
    Case("tiny mlp 1x64", _tiny, 2.0 * 64 * 74),
    Case("bert-base 1x128", _bert, 12 * _layer_flops(128, 768) + 2.0 * 768 * 768),
    Case("gpt2-small 1x256", _gpt2, 12 * _layer_flops(256, 768) + 2.0 * 256 * 768 * 50257),
    *(
        Case(f"llama step 1x{length}", partial(_decode, length), _decode_bytes(length), "bytes")
        for length in (128, 1024)
    ),
    *map(_transformers, ARCHITECTURES.values()),
    Case("mobilenet-v3-large", _mobilenet, None),
]
MODELS += [
    replace(case, name=f"{case.name} bf16", precision="bf16")
    for case in MODELS
    if case.name in ("bert-base 1x128", "transformers resnet-50")
]
