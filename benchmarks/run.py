# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the two commands share: options, building the candidates, checking and timing them."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import machine, measure, peers, report
from benchmarks.zoo import Case

OWN_PROCESS = ("zentorch",)
#: Where `make benchmark` installs it.
ZENTORCH = Path(__file__).resolve().parent.parent / "build" / "zentorch"


def _options(kind: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{kind}", description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="cases whose name contains this, by comma")
    parser.add_argument(
        "--peers",
        default=",".join([*peers.PEERS, *OWN_PROCESS]),
        help="who runs, by comma (default: all)",
    )
    parser.add_argument("--json", type=Path, default=None, help="file to write")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    return parser


def _reason(error: BaseException) -> str:
    if isinstance(error, ImportError):
        return f"not installed ({error})"
    if isinstance(error, peers.NotApplicable):
        return f"not applicable ({error})"
    first = str(error).strip().splitlines() or [""]
    return f"failed: {type(error).__name__}: {first[0][:120]}"


def first_tensor(value: Any) -> torch.Tensor | None:
    """The first tensor of a result, whatever the peer returns it in."""
    if isinstance(value, torch.Tensor):
        return value
    if hasattr(value, "to_tuple"):
        value = value.to_tuple()
    if isinstance(value, (tuple, list)) and value:
        return first_tensor(value[0])
    try:  # OpenVINO's results: a mapping by output
        return torch.from_numpy(next(iter(value.values())))
    except (AttributeError, TypeError, StopIteration):
        pass
    try:
        return torch.from_numpy(value)
    except TypeError:
        return None


def float64_result(model: torch.nn.Module, inputs: peers.Inputs) -> torch.Tensor | None:
    """What errors are measured against."""
    wide = [x.double() if x.is_floating_point() else x for x in inputs]
    try:
        with torch.no_grad():
            return first_tensor(copy.deepcopy(model).double()(*wide))
    except RuntimeError:  # an f32 mask closed over by the case
        return None


def _operations(model: torch.nn.Module, inputs: peers.Inputs) -> float:
    """The operations of a call's products and convolutions."""
    # The fused attention of the CPU is not among those that torch counts.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(*inputs)
    return float(counter.get_total_flops())


def measure_case(case: Case, names: list[str], threads: int, rounds: int) -> report.Row:
    """Builds every candidate, compares it with float64, times all in turn."""
    torch.manual_seed(0)
    model, inputs = case.make()
    model.eval()
    if case.work is None:
        case = dataclasses.replace(case, work=_operations(model, inputs))
    reference = float64_result(model, inputs)
    table = peers.BF16_PEERS if case.precision == "bf16" else peers.PEERS
    candidates: dict[str, measure.Candidate] = {}
    missing: dict[str, str] = {}
    errors: dict[str, float] = {}
    for name in names:
        if name in OWN_PROCESS:
            continue
        try:
            call = table[name](model, inputs, threads)
            result = first_tensor(call())
        except Exception as error:  # a peer may fail in any way; the table says so
            missing[name] = _reason(error)
            continue
        if result is not None and reference is not None:
            if result.shape != reference.shape:
                missing[name] = f"wrong: a result of {tuple(result.shape)}"
                continue
            errors[name] = float((result.double() - reference).abs().max())
        candidates[name] = call
    row = report.Row(case, measure.interleave(candidates, threads, rounds), missing, errors)
    for name in names:
        if name in OWN_PROCESS:
            _own_process(name, case, row, threads, rounds)
    return row


def _own_process(name: str, case: Case, row: report.Row, threads: int, rounds: int) -> None:
    """A peer that changes the process it is imported in: scaled by eager, measured in both."""
    environment = dict(os.environ)
    where = environment.get("TESSERA_BENCH_ZENTORCH", str(ZENTORCH))
    if where:
        environment["PYTHONPATH"] = os.pathsep.join([environment.get("PYTHONPATH", ""), where])
    command = [sys.executable, "-m", "benchmarks.apart", name, case.name, str(threads), str(rounds)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines() or ["no output"]
        row.missing[name] = f"failed: {last[-1][:140]}"
        return
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    if "missing" in answer:
        row.missing[name] = answer["missing"]
        return
    scale = 1.0
    if "eager" in row.round.series:
        there = measure.Series(answer["eager"])
        scale = row.round.series["eager"].quartile / there.quartile
    row.round.series[name] = measure.Series([t * scale for t in answer["times"]])
    if answer.get("error") is not None:
        row.error[name] = answer["error"]


def main(kind: str, cases: list[Case]) -> None:
    """The whole of a command."""
    options = _options(kind).parse_args()
    wanted = [part.strip() for part in options.only.split(",") if part.strip()]
    chosen = [c for c in cases if not wanted or any(part in c.name for part in wanted)]
    if options.list:
        print("\n".join(case.name for case in chosen))
        return
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(options.threads)
    names = [name.strip() for name in options.peers.split(",") if name.strip()]
    unknown = [name for name in names if name not in peers.PEERS and name not in OWN_PROCESS]
    if unknown:
        raise SystemExit(f"unknown peers {unknown}; known: {[*peers.PEERS, *OWN_PROCESS]}")
    about = machine.describe(options.threads, kind)
    print(
        f"{about['cpu']}, {about['cores']} cores, {options.threads} thread(s), "
        f"torch {about['torch']}"
    )
    rows = []
    for case in chosen:
        row = measure_case(case, names, options.threads, options.rounds)
        report.print_row(row, names)
        rows.append(row)
    report.print_summary(rows, names)
    print(f"\nwritten to {report.write_json(kind, about, rows, options.json)}")
