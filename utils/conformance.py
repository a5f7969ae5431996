#!/usr/bin/env python3
# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Every operator and module that PyTorch tests itself with, converted strictly and compared.

    utils/conformance.py                       everything; writes docs/reference/conformance.md
    utils/conformance.py --dtypes float32 --only special   a part, on the terminal only
    utils/conformance.py --only special --update           that part anew, the rest as it was
    utils/conformance.py --overloads                       single overloads of ATen's operators

Each operator runs in a worker process: one that crashes or hangs is noted as such, and the
sweep goes on. What each sample did is in build/conformance.json.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "tests" / "conformance"
RESULTS = ROOT / "build" / "conformance.json"
CALLS = ROOT / "build" / "aten-calls.pt"
OVERLOADS = ROOT / "build" / "conformance-overloads.json"
PAGE = ROOT / "docs" / "reference" / "conformance.md"

DTYPES = ("float32", "float64", "bfloat16", "float16", "int64", "int32", "bool", "complex64")
#: Samples of an operator, evenly chosen from PyTorch's; the dtype most networks use has more.
SAMPLES_EACH = {"float32": 12}
SAMPLES_ELSE = 5
#: One sample may take this long: some kernels are large, and the machine may be busy.
SAMPLE_SECONDS = 180.0
#: A worker is replaced after this many operators, so that compiled code does not pile up.
WORKER_TASKS = 250
STATUSES = ("pass", "refused", "wrong", "error", "crash", "hang")


@dataclass(frozen=True)
class Task:
    kind: str  # "operator" or "module"; "sizes": an operator at many sizes
    name: str
    dtype: str
    limit: int


@dataclass
class Row:
    """One sample."""

    kind: str
    name: str
    dtype: str
    index: int
    label: str
    status: str
    reason: str = ""
    seconds: float = 0.0


# --- the worker ------------------------------------------------------------------------------


def work() -> None:
    """Answers tasks on standard input with one line a sample, before and after it."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what operators print is no answer
    sys.path[:0] = [str(ROOT / "python"), str(SAMPLES)]
    import logging

    import aten_calls
    import torch
    from op_samples import DTYPES as TORCH_DTYPES
    from op_samples import module_samples, operator_samples
    from sizes import families
    from verdict import judge
    from verdict_sizes import judge_sizes

    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    calls: dict[str, list[Any]] = {}
    for line in sys.stdin:
        task = json.loads(line)
        dtype = TORCH_DTYPES.get(task["dtype"])
        samples: list[Any]
        try:
            if task["kind"] == "overload":
                calls = calls or aten_calls.load(CALLS)
                samples = calls[task["name"]]
            elif task["kind"] == "sizes":
                samples = sorted(families(operator_samples(task["name"], dtype)), key=len)[::-1]
            elif task["kind"] == "module":
                samples = list(module_samples(task["name"], dtype))
            else:
                samples = list(operator_samples(task["name"], dtype, extremes=True))
            chosen = spread(len(samples), task["limit"])
        except Exception as error:  # PyTorch's own generators fail for some
            print(json.dumps({"failed": f"{type(error).__name__}: {error}"}), file=answers)
            chosen = []
        refused = False
        for index in chosen:
            if index < task["start"]:
                continue
            sample = samples[index]
            label = (sample[0] if isinstance(sample, list) else sample).label
            print(json.dumps({"begin": index, "label": label}), file=answers)
            start = time.monotonic()
            if isinstance(sample, list):
                verdict = judge_sizes(sample)
            else:
                verdict = judge(sample, hybrid=not refused)
            refused = refused or verdict.status == "refused"
            print(
                json.dumps(
                    {
                        "status": verdict.status,
                        "reason": verdict.reason,
                        "seconds": round(time.monotonic() - start, 3),
                    }
                ),
                file=answers,
            )
        print(json.dumps({"end": True}), file=answers)


def spread(count: int, limit: int) -> list[int]:
    """`limit` places among `count`, the first and, from two on, the last with them."""
    if count <= limit or limit == 1:
        return list(range(min(count, limit)))
    return sorted({round(step * (count - 1) / (limit - 1)) for step in range(limit)})


class Worker:
    """A process that judges samples, and is replaced when it dies."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.tasks = 0
        self.rest = b""

    def run(self, task: Task) -> list[Row]:
        rows: list[Row] = []
        start = 0
        while True:
            died_at = self._attempt(task, start, rows)
            if died_at is None:
                return rows
            start = died_at + 1

    def _attempt(self, task: Task, start: int, rows: list[Row]) -> int | None:
        """Runs `task` from sample `start`; the sample that killed the worker, or None."""
        process = self._alive()
        assert process.stdin is not None
        process.stdin.write(json.dumps({**asdict(task), "start": start}).encode() + b"\n")
        process.stdin.flush()
        current: Row | None = None
        while True:
            answer, why = self._answer()
            if answer is None:
                self.stop()
                if current is None:  # before the first sample, or between two
                    reason = f"the process {why}ed before the first sample"
                    rows.append(Row(task.kind, task.name, task.dtype, -1, "", why, reason))
                    return None
                current.status, current.reason = why, f"the process {why}ed on this sample"
                rows.append(current)
                return current.index
            if "end" in answer:
                self.tasks += 1
                return None
            if "failed" in answer:
                row = Row(task.kind, task.name, task.dtype, -1, "", "skipped", answer["failed"])
                rows.append(row)
            elif "begin" in answer:
                current = Row(task.kind, task.name, task.dtype, answer["begin"], "", "")
                current.label = answer["label"]
            elif current is not None:
                current.status, current.reason = answer["status"], answer["reason"]
                current.seconds = answer["seconds"]
                rows.append(current)

    def _alive(self) -> subprocess.Popen[bytes]:
        if self.process is not None and self.tasks >= WORKER_TASKS:
            self.stop()
        if self.process is None:
            env = dict(os.environ, OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
            env.setdefault("TESSERA_CACHE_DIR", str(ROOT / "build" / "conformance-cache"))
            self.tasks, self.rest = 0, b""
            self.process = subprocess.Popen(
                [sys.executable, __file__, "--worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=env,
                cwd=ROOT,
            )
        return self.process

    def _answer(self) -> tuple[dict[str, Any] | None, str]:
        """The next line, or "crash" or "hang"."""
        assert self.process is not None
        assert self.process.stdout is not None
        stream = self.process.stdout.fileno()
        deadline = time.monotonic() + SAMPLE_SECONDS
        while b"\n" not in self.rest:
            ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None, "hang"
            data = os.read(stream, 1 << 16)
            if not data:
                return None, "crash"
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line), ""

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


# --- the sweep -------------------------------------------------------------------------------


def tasks(dtypes: list[str], only: str, limit: int | None) -> list[Task]:
    sys.path.insert(0, str(SAMPLES))
    from op_samples import DTYPES as TORCH_DTYPES
    from op_samples import module_names, operator_names

    found = []
    for dtype in dtypes:
        each = limit or SAMPLES_EACH.get(dtype, SAMPLES_ELSE)
        names = [("operator", name) for name in operator_names(TORCH_DTYPES[dtype])]
        names += [("module", name) for name in module_names(TORCH_DTYPES[dtype])]
        found += [Task(kind, name, dtype, each) for kind, name in names if only in name]
    return found


def sweep(todo: list[Task], jobs: int, verbose: bool) -> list[Row]:
    """All tasks over `jobs` workers."""
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in todo:
        waiting.put(task)
    rows: list[Row] = []
    lock = threading.Lock()
    done = 0

    def drain() -> None:
        nonlocal done
        worker = Worker()
        while True:
            try:
                task = waiting.get_nowait()
            except queue.Empty:
                worker.stop()
                return
            found = worker.run(task)
            with lock:
                rows.extend(found)
                done += 1
                bad = [row for row in found if row.status not in ("pass", "skipped")]
                for row in bad[:1] if not verbose else bad:
                    if verbose or row.status != "refused":
                        print(f"{row.status}: {show(row)}", flush=True)
                if done % 200 == 0:
                    print(f"    {done} of {len(todo)}", flush=True)

    threads = [threading.Thread(target=drain) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    order = {task: index for index, task in enumerate(todo)}
    keys = {(task.kind, task.name, task.dtype): order[task] for task in todo}
    return sorted(rows, key=lambda row: (keys[row.kind, row.name, row.dtype], row.index))


def kept(results: Path, todo: list[Task], rows: list[Row], *, update: bool) -> list[Row]:
    """Writes what a sweep found, with `update` beside what was known of other tasks; all rows."""
    results.parent.mkdir(parents=True, exist_ok=True)
    if update:
        rows = updated(results, todo, rows)
    results.write_text(json.dumps([asdict(row) for row in rows], indent=0), encoding="utf-8")
    return rows


def updated(results: Path, todo: list[Task], rows: list[Row]) -> list[Row]:
    """What an earlier sweep found, with `rows` in place of what it found for `todo`."""
    again = {(task.kind, task.name, task.dtype) for task in todo}
    found = [Row(**row) for row in json.loads(results.read_text(encoding="utf-8"))]
    return [row for row in found if (row.kind, row.name, row.dtype) not in again] + rows


def show(row: Row) -> str:
    return f"{row.name} ({row.dtype}) {row.label}: {row.reason}"


# --- the page --------------------------------------------------------------------------------


@dataclass
class Outcome:
    """An operator in one dtype: the worst of its samples."""

    status: str
    reason: str
    passed: int
    total: int


def outcomes(rows: list[Row]) -> dict[tuple[str, str, str], Outcome]:
    grouped: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.status != "skipped":
            grouped.setdefault((row.kind, row.name, row.dtype), []).append(row)
    result = {}
    for key, samples in grouped.items():
        worst = max(samples, key=lambda row: STATUSES.index(row.status))
        passed = sum(row.status == "pass" for row in samples)
        result[key] = Outcome(worst.status, worst.reason, passed, len(samples))
    return result


def share(found: list[Outcome]) -> str:
    """ "pass of all, per cent", for a table."""
    passed = sum(outcome.status == "pass" for outcome in found)
    return f"{passed} of {len(found)} | {100 * passed / max(len(found), 1):.1f} %"


def core_names() -> set[str]:
    lines = (SAMPLES / "core_aten_ops.txt").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def page(rows: list[Row]) -> str:
    found = outcomes(rows)
    parts = ["<!-- Written by make conformance; edit nothing here. -->", "", "# Conformance", ""]
    parts.append(
        "PyTorch's own lists of operators (`op_db`) and modules (`module_db`), through\n"
        "`ts.from_pytorch(strict=True)`. A name passes in a dtype when every sample taken of it\n"
        "compiles in full and gives PyTorch's values within the tolerances of PyTorch's tests\n"
        "(or is at most twice as far from float64's answer as PyTorch is), with its shapes,\n"
        "dtypes, and contiguous strides. What does not pass is refused by a clear error in\n"
        "strict mode and runs as a hybrid otherwise.\n"
    )
    parts += summary(found)
    for kind, title in (("operator", "Operators"), ("module", "Modules")):
        parts += failing(found, kind, title)
    return "\n".join(parts).rstrip() + "\n"


def summary(found: dict[tuple[str, str, str], Outcome]) -> list[str]:
    core = core_names()
    all_names = {name for _, name, _ in found}
    groups = (
        ("operators", "operator", all_names),
        ("operators that are Core ATen", "operator", core),
        ("modules", "module", all_names),
    )
    parts = ["| what | dtype | pass | share | wrong values |", "|---|---|---|---|---|"]
    for title, wanted, names in groups:
        for dtype in DTYPES:
            some = [
                outcome
                for (kind, name, of), outcome in found.items()
                if kind == wanted and of == dtype and name in names
            ]
            if some:
                wrong = sum(outcome.status == "wrong" for outcome in some)
                parts.append(f"| {title} | {dtype} | {share(some)} | {wrong} |")
    parts += [
        "",
        "Core ATen: the first float32 sample decomposes, by PyTorch's default table, into\n"
        "operators that carry the tag `core` ([the list](../../tests/conformance/"
        "core_aten_ops.txt)).\n",
    ]
    return parts


def failing(found: dict[tuple[str, str, str], Outcome], kind: str, title: str) -> list[str]:
    rows: dict[tuple[str, str, str], list[str]] = {}
    for (of, name, dtype), outcome in found.items():
        if of == kind and outcome.status != "pass":
            reason = outcome.reason.replace("|", "\\|")
            key = (name, outcome.status, reason[:160])
            rows.setdefault(key, []).append(f"{dtype} {outcome.passed}/{outcome.total}")
    parts = [f"## {title} that do not pass\n", "| name | dtypes (samples that pass) | reason |"]
    parts.append("|---|---|---|")
    for (name, status, reason), where in sorted(rows.items()):
        mark = "" if status == "refused" else f"**{status}** "
        parts.append(f"| `{name}` | {', '.join(where)} | {mark}{reason} |")
    return [*parts, ""]


def overloads(only: str, limit: int, jobs: int) -> int:
    """Calls of single overloads, recorded once: prints what does not pass."""
    sys.path.insert(0, str(SAMPLES))
    import aten_calls
    import torch

    if not CALLS.exists():
        print("recording what PyTorch's operators come down to", flush=True)
        dtypes = (torch.float32, torch.int64, torch.bool, torch.bfloat16)
        CALLS.parent.mkdir(parents=True, exist_ok=True)
        aten_calls.save(aten_calls.collect(dtypes), CALLS)
    names = [name for name in aten_calls.load(CALLS) if only in name]
    print(f"{len(names)} overloads, {jobs} workers", flush=True)
    rows = sweep([Task("overload", name, "any", limit) for name in names], jobs, True)
    OVERLOADS.write_text(json.dumps([asdict(row) for row in rows], indent=0), encoding="utf-8")
    counts = {status: sum(row.status == status for row in rows) for status in STATUSES}
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    return 1 if sum(counts.values()) > counts["pass"] + counts["refused"] else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Sweeps PyTorch's lists of operators and modules.")
    parser.add_argument("--dtypes", default=",".join(DTYPES), help="comma-separated")
    parser.add_argument("--only", default="", help="names that contain this")
    parser.add_argument("--samples", type=int, help="samples of each operator")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--results", type=Path, default=RESULTS, help="the JSON file to write")
    parser.add_argument("--update", action="store_true", help="keep the other rows of the file")
    parser.add_argument("--page", action="store_true", help="only write the page, from the JSON")
    parser.add_argument("-v", action="store_true", dest="verbose", help="show refusals too")
    parser.add_argument("--overloads", action="store_true", help="sweep ATen's overloads instead")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work()
        return 0
    if arguments.page:
        data = json.loads(arguments.results.read_text(encoding="utf-8"))
        PAGE.write_text(page([Row(**row) for row in data]), encoding="utf-8")
        return 0
    if arguments.overloads:
        return overloads(arguments.only, arguments.samples or 3, arguments.jobs)
    start = time.monotonic()
    todo = tasks(arguments.dtypes.split(","), arguments.only, arguments.samples)
    print(f"{len(todo)} operators and modules by dtype, {arguments.jobs} workers", flush=True)
    rows = sweep(todo, arguments.jobs, arguments.verbose)
    rows = kept(arguments.results, todo, rows, update=arguments.update)
    print("\n".join(summary(outcomes(rows))))
    print(f"{len(rows)} samples in {time.monotonic() - start:.0f} s: {arguments.results}")
    whole = arguments.dtypes == ",".join(DTYPES) and not arguments.only
    if (whole or arguments.update) and not arguments.samples and arguments.results == RESULTS:
        PAGE.write_text(page(rows), encoding="utf-8")
        print(f"wrote {PAGE.relative_to(ROOT)}")
    bad = sum(row.status not in ("pass", "skipped", "refused") for row in rows)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
