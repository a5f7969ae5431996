# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What `make benchmark` says of what it measured."""

import json

import pytest
from benchmarks import tables


def row(case, seconds, errors, missing=None):
    return {
        "case": case,
        "work": 2e9,
        "bound": "flops",
        "peak_gflops": 200.0,
        "bandwidth_gbs": 40.0,
        "missing": missing or {},
        "max_abs_error": errors,
        "seconds": {name: [time] * 3 for name, time in seconds.items()},
    }


def run(rows, date="2026-01-02", threads=1):
    about = {"kind": "models", "cpu": "A", "cores": 2, "threads": threads, "date": date}
    return tables.Run("models", about, [tables.Result.read(r) for r in rows])


def test_best_peer_is_the_fastest_that_computes_the_same():
    seconds = {"tessera": 0.02, "eager": 0.06, "wrong": 0.01, "right": 0.03}
    errors = {"tessera": 1e-6, "eager": 1e-6, "wrong": 1.0, "right": 2e-6}
    (result,) = run([row("model", seconds, errors)]).results
    assert result.best_peer() == "right"
    assert result.lead("right") == pytest.approx(1.5)
    assert result.share("tessera") == pytest.approx(0.5)
    errors["right"] = float("nan")
    (result,) = run([row("model", seconds, errors)]).results
    assert result.best_peer() == "eager"


def test_table_says_what_did_not_run():
    seconds = {"eager": 0.06, "peer": 0.05}
    text = tables.table(run([row("model", seconds, {}, {"tessera": "failed: an island"})]))
    assert "| model | failed: an island |" in text
    assert len({line.count("|") for line in text.splitlines()}) == 1


def test_of_a_case_measured_twice_the_last_counts(tmp_path):
    old = run([row("a", {"tessera": 1.0}, {}), row("b", {"tessera": 1.0}, {})], "2026-01-01")
    new = run([row("b", {"tessera": 2.0}, {})])
    (together,) = tables.merged([old, new])
    assert [(r.case, r.series["tessera"].best) for r in together.results] == [("a", 1), ("b", 2)]
    assert together.about["date"] == "2026-01-01 to 2026-01-02"
    assert len(tables.merged([old, run([], threads=2)])) == 2


def test_file_is_read_back(tmp_path):
    path = tmp_path / "run.json"
    about = {"kind": "kernels", "threads": 2, "date": "2026-01-02"}
    path.write_text(json.dumps({"machine": about, "rows": [row("a", {"tessera": 1e-6}, {})]}))
    read = tables.Run.read(path)
    assert read.title == "Kernels, 2 threads"
    assert tables.duration(read.results[0].series["tessera"].quartile) == "1.00 µs"
