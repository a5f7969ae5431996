# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`python -m benchmarks.tuned`: what tuning gains over the rules' schedules, model by model.

Each model is tuned, then timed with the rules' choice and with the tuned points in turns. Fails
where the rules' choice takes more than a tenth longer. Set TESSERA_CACHE_DIR to an empty folder to
search anew.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings

import torch

import tessera as ts
from benchmarks import measure
from benchmarks.zoo import MODELS, Case

#: How much longer the rules' choice may take than what tuning finds.
LARGEST_RATIO = 1.1


def compare(case: Case, options: argparse.Namespace) -> float:
    """Tunes and times one case and prints its row; the time by the rules over the tuned time."""
    torch.manual_seed(0)
    model, inputs = case.make()
    model.eval()
    precision = case.precision if case.precision != "fp32" else None
    found = ts.tune(model, *inputs, mode=options.mode, seconds=options.seconds, precision=precision)
    plain = ts.from_pytorch(model, inputs, strict=True, tune="off", precision=precision)
    tuned = found.module
    candidates = {"default": lambda: plain(*inputs), "tuned": lambda: tuned(*inputs)}
    series = measure.interleave(candidates, options.threads, options.rounds).series
    default_ms, tuned_ms = (series[name].quartile * 1e3 for name in ("default", "tuned"))
    ratio = default_ms / tuned_ms
    print(
        f"{case.name:30}{default_ms:12.4f}{tuned_ms:12.4f}{ratio:8.3f}{found.gain:10.3f}"
        f"{found.seconds:9.1f}",
        flush=True,
    )
    if options.verbose:
        print(found, flush=True)
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuned", description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="cases whose name contains this, by comma")
    parser.add_argument("--mode", default="quick", choices=("quick", "full"))
    parser.add_argument("--seconds", type=float, help="limit of each search (default: the mode's)")
    parser.add_argument("-v", action="store_true", dest="verbose", help="each table of kernels")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(options.threads)
    wanted = [part.strip() for part in options.only.split(",") if part.strip()]
    head = f"{'default ms':>12}{'tuned ms':>12}{'ratio':>8}{'kernels':>10}{'search s':>9}"
    print(f"{'':30}{head}", flush=True)
    slow = [
        case.name
        for case in MODELS
        if not wanted or any(part in case.name for part in wanted)
        if compare(case, options) > LARGEST_RATIO
    ]
    if slow:
        sys.exit(f"the rules are more than 10 % behind: {', '.join(slow)}")


if __name__ == "__main__":
    main()
