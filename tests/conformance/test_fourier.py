# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Fourier transforms, compiled, against PyTorch in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from harness import Case, check, values
from test_complex import numbers, same
from torch import nn

import tessera as ts

#: powers of two, mixed radices, primes below and beyond the largest radix, and one row of many
LENGTHS = (1, 2, 3, 8, 9, 12, 30, 31, 37, 60, 64, 101, 121, 210, 256, 1000, 1009, 5000)


def near(name: str, function: Callable[..., Any], *inputs: torch.Tensor) -> Case:
    # Each element is a sum over a row: its error is that of the row's norm, not of itself.
    size = max((tensor.shape[-1] if tensor.ndim else 1) for tensor in inputs)
    wide = inputs[0].dtype in (torch.float64, torch.complex128)
    return Case(name, function, inputs, rtol=1e-7 if wide else 3e-6,
                atol=(1e-12 if wide else 3e-6) * size**0.5 * 3)  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_lengths(dtype: torch.dtype) -> None:
    wide = torch.complex128 if dtype == torch.float64 else torch.complex64
    cases = []
    for n in LENGTHS:
        x, z = values(3, n, dtype=dtype), numbers(2, n, dtype=wide)
        half = numbers(9, n // 2 + 1, dtype=wide)
        cases += [
            near(f"fft {n}", torch.fft.fft, z),
            near(f"ifft {n}", torch.fft.ifft, z),
            near(f"rfft {n}", torch.fft.rfft, x),
            near(f"irfft {n}", lambda z, n=n: torch.fft.irfft(z, n=n), half),
        ]
    check(cases)


@pytest.mark.parametrize("norm", ["forward", "backward", "ortho"])
def test_every_function_and_norm(norm: str) -> None:
    x, z = values(4, 6, 10), numbers(4, 6, 10)
    real = ("fft", "rfft", "ihfft", "fft2", "rfft2", "ihfft2", "fftn", "rfftn", "ihfftn",
            "irfft", "hfft", "irfftn", "hfftn")  # fmt: skip
    both = ("fft", "ifft", "irfft", "hfft", "fft2", "ifft2", "irfft2", "hfft2", "fftn", "ifftn",
            "irfftn", "hfftn")  # fmt: skip

    def call(name: str) -> Callable[..., Any]:
        return lambda x: getattr(torch.fft, name)(x, norm=norm)

    check(
        [near(f"real {name}", call(name), x) for name in real]
        + [near(f"complex {name}", call(name), z) for name in both]
    )


def test_dimensions_sizes_and_layouts() -> None:
    x, z = values(4, 6, 10), numbers(4, 6, 10)
    check(
        [
            near("first", lambda z: torch.fft.fft(z, dim=0), z),
            near("middle", lambda x: torch.fft.rfft(x, dim=1), x),
            near("two in disorder", lambda z: torch.fft.ifftn(z, dim=(2, 0)), z),
            near("half of the first", lambda x: torch.fft.rfftn(x, dim=(2, 0)), x),
            near("cut", lambda z: torch.fft.fft(z, n=7), z),
            near("padded", lambda x: torch.fft.rfft(x, n=13), x),
            near("sizes", lambda z: torch.fft.irfftn(z, s=(5, 12), dim=(0, 2)), z),
            near("transposed", lambda z: torch.fft.fft(z.transpose(0, 2)), z),
            near("sliced", torch.fft.rfft, values(8, 40)[1:6, 3::2]),
            near("conjugate", lambda z: torch.fft.fft(z.conj()), z),
            near("integers", lambda x: torch.fft.fft(x.long()), x),
            near("shifted", lambda x: torch.fft.fftshift(torch.fft.fft(x)), x),
            Case("frequencies", lambda x: x + torch.fft.rfftfreq(8), [values(5)]),
        ]
    )


class Spectrogram(nn.Module):
    """Log-mel-like features of a signal."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(64))
        self.filters = nn.Linear(33, 12, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(x, 64, 16, window=self.window, return_complex=True)
        power = spectrum.abs().pow(2)
        return torch.log1p(self.filters(power.transpose(1, 2)).relu())


class Spectral(nn.Module):
    """Fourier layer: a product with complex weights for the lowest frequencies of a grid."""

    def __init__(self, width: int = 6, modes: int = 4) -> None:
        super().__init__()
        self.modes = modes
        self.weight = nn.Parameter(numbers(width, width, modes, modes) / width)
        self.skip = nn.Conv2d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft2(x, norm="ortho")
        low = spectrum[..., : self.modes, : self.modes]
        out = torch.zeros_like(spectrum)
        out[..., : self.modes, : self.modes] = torch.einsum("bixy,ioxy->boxy", low, self.weight)
        mixed = torch.fft.irfft2(out, s=x.shape[-2:], norm="ortho")
        return nn.functional.gelu(mixed + self.skip(x))


def test_features_of_a_signal() -> None:
    same(Spectrogram(), values(3, 400))


def test_a_spectral_layer() -> None:
    same(nn.Sequential(Spectral(), Spectral()), values(2, 6, 16, 20))


def test_a_spectral_layer_for_any_batch() -> None:
    batch = torch.export.Dim("batch", min=2, max=64)
    tess = same(Spectral(), values(4, 6, 16, 20), dynamic_shapes={"x": {0: batch}})
    for rows in (2, 7, 33):
        x = values(rows, 6, 16, 20)
        with torch.no_grad():
            torch.testing.assert_close(tess(x), tess._torch(x), rtol=1e-4, atol=1e-4)


def test_mixing_of_tokens_by_their_spectrum() -> None:
    class Mixing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.feed = nn.LayerNorm(32), nn.Linear(32, 32)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.feed(self.norm(x + torch.fft.fft2(x).real))

    same(Mixing(), values(2, 10, 32))


def test_half_precision_is_refused_as_by_pytorch() -> None:
    class Half(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.rfft(x).abs()

    with pytest.raises((RuntimeError, ts.errors.TesseraError)):
        ts.from_pytorch(Half(), example_inputs=(values(4, 8).half(),), strict=True)
