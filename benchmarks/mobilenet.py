# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""MobileNetV3-Large as its paper describes it (Howard et al. 2019, table 1).

Transformers has versions 1 and 2 only.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Row:
    """One row of the paper's table: a bottleneck."""

    kernel: int
    expanded: int
    out: int
    squeeze: bool
    hard_swish: bool
    stride: int


LARGE = (
    Row(3, 16, 16, False, False, 1),
    Row(3, 64, 24, False, False, 2),
    Row(3, 72, 24, False, False, 1),
    Row(5, 72, 40, True, False, 2),
    Row(5, 120, 40, True, False, 1),
    Row(5, 120, 40, True, False, 1),
    Row(3, 240, 80, False, True, 2),
    Row(3, 200, 80, False, True, 1),
    Row(3, 184, 80, False, True, 1),
    Row(3, 184, 80, False, True, 1),
    Row(3, 480, 112, True, True, 1),
    Row(3, 672, 112, True, True, 1),
    Row(5, 672, 160, True, True, 2),
    Row(5, 960, 160, True, True, 1),
    Row(5, 960, 160, True, True, 1),
)


def _divisible(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, and no more than a tenth below it."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _activation(hard_swish: bool) -> nn.Module:
    return nn.Hardswish() if hard_swish else nn.ReLU()


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int, groups: int, then: nn.Module
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
        then,
    )


class SqueezeExcite(nn.Module):
    """Channels scaled by a small network of their means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = _divisible(channels / 4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.down, self.up = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.relu, self.gate = nn.ReLU(), nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.up(self.relu(self.down(self.pool(x)))))


class Bottleneck(nn.Module):
    """Expansion, depthwise convolution, projection; a residual where the shapes allow one."""

    def __init__(self, inputs: int, row: Row) -> None:
        super().__init__()
        middle, act = row.expanded, row.hard_swish
        parts: list[nn.Module] = []
        if middle != inputs:
            parts.append(_convolution(inputs, middle, 1, 1, 1, _activation(act)))
        parts.append(_convolution(middle, middle, row.kernel, row.stride, middle, _activation(act)))
        if row.squeeze:
            parts.append(SqueezeExcite(middle))
        parts.append(_convolution(middle, row.out, 1, 1, 1, nn.Identity()))
        self.parts = nn.Sequential(*parts)
        self.residual = row.stride == 1 and inputs == row.out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.parts(x)
        return x + y if self.residual else y


class MobileNetV3(nn.Module):
    """`rows` between a stem and a classifier."""

    def __init__(self, rows: tuple[Row, ...] = LARGE, classes: int = 1000) -> None:
        super().__init__()
        widths = [16, *(row.out for row in rows)]
        last = 6 * widths[-1]
        self.features = nn.Sequential(
            _convolution(3, 16, 3, 2, 1, nn.Hardswish()),
            *(Bottleneck(inputs, row) for inputs, row in zip(widths, rows, strict=False)),
            _convolution(widths[-1], last, 1, 1, 1, nn.Hardswish()),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(last, 1280), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(1280, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.features(x)).flatten(1))
        return logits
