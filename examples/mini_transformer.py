# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The guide's example: a Transformer block from PyTorch, converted, run, compared and timed.

    python examples/mini_transformer.py
    python examples/mini_transformer.py --batch 2 --length 128 --runs 3   # a quick look

The exit status is 1 when the answers differ by more than they may.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn as nn
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

import tessera as ts

#: Largest absolute difference from eager PyTorch, and how much further from the exact result than
#: PyTorch itself Tessera may be.
MAX_DIFFERENCE = 1e-4
MAX_ERROR_RATIO = 1.5

console = Console()
if not console.is_terminal:  # a file or a pipe has no width
    console = Console(width=120)


# The model is the guide's, to the letter.
# fmt: off
class Block(nn.Module):
    def __init__(self, d, nhead, mlp=4):
        super().__init__()
        self.ln1 = nn.LayerNorm(d)
        self.attn = nn.MultiheadAttention(d, nhead, batch_first=True)
        self.ln2 = nn.LayerNorm(d)
        self.ffn = nn.Sequential(
            nn.Linear(d, mlp*d), nn.GELU(), nn.Linear(mlp*d, d)
        )
    def forward(self, x, attn_mask=None):
        h = self.ln1(x)
        a,_ = self.attn(h,h,h, attn_mask=attn_mask, need_weights=False)
        x = x + a
        h = self.ln2(x)
        x = x + self.ffn(h)
        return x  # noqa: RET504
# fmt: on


def choose_device() -> str:
    """CUDA where there is a GPU and Tessera has code for it, else the CPU."""
    if not torch.cuda.is_available():
        return "cpu"
    try:
        ts.from_pytorch(nn.ReLU(), (torch.zeros(1),), target="cuda")
    except NotImplementedError:
        console.print("[dim]There is a GPU, but this version of Tessera compiles for CPUs.[/dim]")
        return "cpu"
    return "cuda"


def compare(y: torch.Tensor, eager: torch.Tensor, exact: torch.Tensor) -> bool:
    """Prints how far the result is from PyTorch's and from the exact one; whether that is fine."""
    difference = (y - eager).abs().max().item()
    ours = (y.double() - exact).abs().max().item()
    theirs = (eager.double() - exact).abs().max().item()
    same = difference <= MAX_DIFFERENCE and ours <= MAX_ERROR_RATIO * theirs
    table = Table(title="the answer", title_justify="left", header_style="bold")
    table.add_column("largest absolute difference")
    table.add_column("", justify="right")
    table.add_row("Tessera and eager PyTorch", f"{difference:.2e}")
    table.add_row("Tessera and float64", f"{ours:.2e}")
    table.add_row("eager PyTorch and float64", f"{theirs:.2e}")
    console.print(table)
    console.print("[green]✓ equal[/green]" if same else "[red]✗ too far apart[/red]")
    return same


def interleaved(calls: dict[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """Milliseconds of each call, the calls taking turns, so that all see the same machine."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(runs):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - begin) * 1e3)
    return times


def print_times(times: dict[str, list[float]], flops: float) -> None:
    table = Table(title="time of a call", title_justify="left", header_style="bold")
    table.add_column("")
    for name in ("median ms", "best ms", "GFLOP/s", "eager / this"):
        table.add_column(name, justify="right")
    eager = statistics.median(times["eager PyTorch"])
    for name, values in times.items():
        median = statistics.median(values)
        table.add_row(
            name,
            f"{median:.2f}",
            f"{min(values):.2f}",
            f"{flops / median / 1e6:.0f}",
            f"{eager / median:.2f}x",
        )
    console.print(table)


def block_flops(batch: int, length: int, d: int) -> float:
    """Multiplications and additions of the block's matrix products."""
    projections = 2 * batch * length * d * (3 * d + d + 4 * d + 4 * d)
    attention = 2 * 2 * batch * length * length * d
    return float(projections + attention)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=10, help="timed calls of each model")
    options = parser.parse_args()
    torch.manual_seed(0)
    device = choose_device()

    pt = Block(512, 8).to(device).eval()
    x = torch.randn(options.batch, options.length, 512, device=device)
    console.print(
        Panel(
            f"Mini-Transformer block, x {tuple(x.shape)} float32 on {device}, "
            f"{torch.get_num_threads()} threads, torch {torch.__version__}",
            expand=False,
        )
    )
    with torch.no_grad():
        eager = pt(x)
        exact = Block(512, 8).to(device).eval().double()
        exact.load_state_dict({key: value.double() for key, value in pt.state_dict().items()})
        truth = exact(x.double())

    console.rule("fully converted")
    full = ts.from_pytorch(pt, example_inputs=(x,), strict=False)
    report = full.report
    console.print(
        f"torch's capture {report.timings['capture']:.0f} ms, "
        f"Tessera's own time {report.tessera_ms:.0f} ms"
    )
    fine = compare(full(x), eager, truth)
    full.profile(x)
    full.explain()

    console.rule("hybrid: attention behind ts.compat.wrap, tensors by DLPack")
    tess = ts.from_pytorch(pt, example_inputs=(x,), strict=False)
    tess.attn = ts.compat.wrap(pt.attn, allow_fallback=True)

    tx = ts.from_dlpack(torch.utils.dlpack.to_dlpack(x))
    ty = tess(tx)
    y = torch.utils.dlpack.from_dlpack(ts.to_dlpack(ty))

    fine = compare(y, eager, truth) and fine
    console.print(f"tess.attn was called {tess.attn.calls} time(s)")
    tess.explain()

    console.rule("times")
    with torch.no_grad():
        times = interleaved(
            {
                "eager PyTorch": lambda: pt(x),
                "Tessera, fully converted": lambda: full(x),
                "Tessera, hybrid": lambda: tess(x),
            },
            options.runs,
        )
    print_times(times, block_flops(options.batch, options.length, 512))
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
