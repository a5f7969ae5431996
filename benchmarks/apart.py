# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One peer in a process of its own, beside eager: prints one line of JSON."""

from __future__ import annotations

import json
import logging
import sys
import warnings

import torch

from benchmarks import measure, peers, run, zoo


def main() -> None:
    name, case_name, threads, rounds = sys.argv[1:5]
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(int(threads))
    case = next(c for c in [*zoo.KERNELS, *zoo.MODELS] if c.name == case_name)
    torch.manual_seed(0)
    model, inputs = case.make()
    model.eval()
    expected = run.float64_result(model, inputs)
    if case.precision == "bf16":
        model, inputs = peers.rounded(model, inputs)
    eager = peers.eager(model, inputs, int(threads))
    try:
        __import__(name)
    except ImportError as error:
        print(json.dumps({"missing": f"not installed ({error})"}))
        return
    call = peers.compiled(model, inputs, backend=name)
    result = run.first_tensor(call())
    difference = None
    if expected is not None and result is not None:
        difference = float((result.double() - expected).abs().max())
    timed = measure.interleave({"eager": eager, name: call}, int(threads), int(rounds))
    answer = {
        "times": timed.series[name].times,
        "eager": timed.series["eager"].times,
        "error": difference,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
