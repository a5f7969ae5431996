# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Everything that is measured, in one command: docs/results.md with its plots, and README's table.

`--render FILE …` writes the same from files that `python -m benchmarks.models` and `.kernels` left.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import tables
from benchmarks.report import RESULTS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "results.md"
BEGIN, END = "<!-- results: written by `make benchmark` -->", "<!-- end of results -->"
#: What README shows of the peers.
SHOWN = ("eager", "inductor", "openvino", "onnxruntime")
HEAD = """\
# Results

Measured by `python -m benchmarks.models` and `.kernels`, {date}: {cpu}, {cores} cores,
torch {torch}; `make benchmark` measures all of it anew, with every peer.
[benchmarks.md](benchmarks.md) says how it is measured. Times are lower quartiles of one interleaved
run; the number below a peer's name says how many times faster Tessera is, in brackets where a peer
computes something else (an error against float64 of more than {wrong:.0f} times eager's). The best
peer is the fastest that computes the same.
"""


def _measure(kind: str, threads: int, options: argparse.Namespace) -> Path:
    path: Path = RESULTS / f"{kind}-{threads}-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", f"benchmarks.{kind}", "--threads", str(threads)]
    command += ["--rounds", str(options.rounds), "--only", options.only, "--json", str(path)]
    if options.peers:
        command += ["--peers", options.peers]
    # A process for each number of threads: pools keep the number they began with.
    subprocess.run(command, check=True, cwd=ROOT)
    return path


def _page(runs: list[tables.Run]) -> str:
    about = runs[-1].about
    parts = [HEAD.format(wrong=tables.WRONG, **about)]
    for run in runs:
        image = f"images/{run.kind}-{run.threads}.svg"
        tables.plot(run, PAGE.parent / image)
        parts += [f"## {run.title}", tables.table(run), f"![{run.title}]({image})"]
        reasons = {
            f"{name}: {reason}" for result in run.results for name, reason in result.missing.items()
        }
        if reasons:
            parts.append(
                "\n".join(["Did not run:", "", *(f"- {text}" for text in sorted(reasons))])
            )
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _summary(runs: list[tables.Run]) -> str:
    about = runs[-1].about
    parts = [
        f"Measured by `python -m benchmarks.models`, {about['date']}: {about['cpu']}, "
        f"{about['cores']} cores, "
        "float32 unless said. Numbers say how many times faster Tessera is than the best peer, and "
        "than each; [all results](docs/results.md).",
    ]
    for run in runs:
        if run.kind != "models":
            continue
        parts += [
            f"**{run.title}**",
            tables.table(run, SHOWN),
            f"![{run.title}](docs/images/models-{run.threads}.svg)",
        ]
    return "\n\n".join(parts)


def _write(runs: list[tables.Run]) -> None:
    PAGE.write_text(_page(runs))
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise SystemExit(f"README.md has no lines {BEGIN!r} and {END!r} to write between")
    readme.write_text(f"{before}{BEGIN}\n\n{_summary(runs)}\n\n{END}{after}")
    print(f"written: {PAGE.relative_to(ROOT)}, README.md, and the plots in docs/images")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suite", description=__doc__)
    parser.add_argument("--threads", default="1,2", help="numbers of threads, by comma")
    parser.add_argument("--kinds", default="models,kernels", help="what is measured, by comma")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="cases whose name contains this, by comma")
    parser.add_argument("--peers", default="", help="who runs, by comma (default: all)")
    parser.add_argument("--render", nargs="+", type=Path, help="files measured before")
    options = parser.parse_args()
    paths = options.render or [
        _measure(kind, int(threads), options)
        for kind in options.kinds.split(",")
        for threads in options.threads.split(",")
    ]
    _write(tables.merged(tables.Run.read(path) for path in paths))


if __name__ == "__main__":
    main()
