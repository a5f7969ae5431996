# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`python -m benchmarks.accuracy`: the ten models converted strictly, held against float64.

Prints for each the islands, the largest error and PyTorch's own, and what the conversion took in
CPU seconds. Fails when an error is more than twice PyTorch's, or a node is left to PyTorch.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from benchmarks.architectures import ARCHITECTURES, Architecture

#: How far from float64 results may be, over how far PyTorch's are.
LARGEST_RATIO = 2.0


@dataclass
class Outcome:
    """One converted model."""

    name: str
    nodes: int = 0
    islands: int = 0
    #: largest distances from float64, over the largest value of the tensor they are in
    error: float = 0.0
    torch_error: float = 0.0
    #: CPU seconds of everything up to the first result, and milliseconds by the report
    seconds: float = 0.0
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        return self.error / self.torch_error if self.torch_error else float("inf")

    @property
    def holds(self) -> bool:
        return self.islands == 0 and self.ratio <= LARGEST_RATIO

    def __str__(self) -> str:
        own = (self.timings.get("import", 0) + self.timings.get("compile", 0)) / 1e3
        return (
            f"{self.name:16}{self.nodes:6} nodes{self.islands:3} islands   error {self.error:.1e}, "
            f"PyTorch {self.torch_error:.1e}: {self.ratio:.2f}x   first result "
            f"{self.seconds:.1f} s CPU, after capture {own:.1f} s"
        )


def tensors_of(result: Any) -> list[Tensor]:
    """The tensors of real numbers in a result, whatever objects it is made of."""
    from tessera.capture.objects import opened_results

    leaves = pytree.tree_leaves(opened_results(result))
    return [x for x in leaves if isinstance(x, Tensor) and x.is_floating_point()]


def measure(architecture: Architecture, *, small: bool = False, strict: bool = True) -> Outcome:
    """Converts one of the models, and compares a call of it with PyTorch's in float32 and float64.

    Raises ConversionError where something could not be converted, if `strict`.
    """
    import tessera as ts

    model, arguments = architecture.build(small=small)
    outcome = Outcome(architecture.name)
    begin = time.process_time()
    converted = ts.from_pytorch(model, example_kwargs=arguments, strict=strict)
    result = converted(**arguments)
    outcome.seconds = time.process_time() - begin
    report = converted.report
    outcome.nodes, outcome.islands = len(report.nodes), len(report.islands)
    outcome.timings = dict(report.timings)
    del converted  # and the weights it packed
    with torch.no_grad():
        eager = model(**arguments)
        wide = {name: x.double() if x.is_floating_point() else x for name, x in arguments.items()}
        exact = model.double()(**wide)
    if type(result) is not type(eager):
        raise TypeError(f"{architecture.name} gives {type(result)}, PyTorch {type(eager)}")
    for ours, theirs, wanted in zip(*map(tensors_of, (result, eager, exact)), strict=True):
        size = float(wanted.abs().max())
        outcome.error = max(outcome.error, float((ours - wanted).abs().max()) / size)
        outcome.torch_error = max(outcome.torch_error, float((theirs - wanted).abs().max()) / size)
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--only", default="", help="models whose name contains this, by comma")
    parser.add_argument("--small", action="store_true", help="few and narrow layers")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(options.threads)
    wanted = [part.strip() for part in options.only.split(",") if part.strip()]
    failed = []
    for name, architecture in ARCHITECTURES.items():
        if wanted and not any(part in name for part in wanted):
            continue
        try:
            outcome = measure(architecture, small=options.small)
        except Exception as error:  # the table says so, and goes on
            print(f"{name:16}{type(error).__name__}: {error}", flush=True)
            failed.append(name)
            continue
        print(outcome, flush=True)
        if not outcome.holds:
            failed.append(name)
    if failed:
        sys.exit(f"out of bounds: {', '.join(failed)}")


if __name__ == "__main__":
    main()
