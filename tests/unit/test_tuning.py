# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""ts.tune and tune=: what is found is right, kept, and found only once."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import pytest
import torch
from torch import nn

import tessera as ts
from tessera._settings import settings
from tessera.tuning import search, stored
from tessera.tuning import session as session_module
from tessera.tuning.bench import Bench
from tessera.tuning.point import Point, Space
from tessera.tuning.store import Store


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.norm, self.down = nn.Linear(64, 256), nn.LayerNorm(256), nn.Linear(256, 64)

    def forward(self, x):
        return self.down(self.norm(torch.relu(self.up(x))))


@pytest.fixture
def store(monkeypatch, tmp_path):
    """A store of the test's own."""
    own = Store(str(tmp_path))
    for module in ("tessera.tuning.stored", "tessera.tuning.api"):
        monkeypatch.setattr(f"{module}.store", lambda: own)
    monkeypatch.setattr(stored, "_made", ({}, None))
    return own


@pytest.fixture
def small():
    return Small().eval(), torch.randn(48, 64)


@pytest.fixture
def eager_to_change(monkeypatch):
    """Every candidate beats the default: what is tuned is then sure to be another point."""

    def duel(self, old, new, rounds=14):
        old.times = new.times = [1.0]
        return 2.0

    def race(self, candidates, rounds=6):
        # The last one wins, once.
        first = getattr(self, "reference", None) is candidates[0]
        ranked = list(reversed(candidates)) if first else list(candidates)
        for place, candidate in enumerate(ranked):
            candidate.times = [1e-3 * (place + 1)]
        self.timed += len(candidates)
        return ranked

    monkeypatch.setattr(Bench, "duel", duel)
    monkeypatch.setattr(Bench, "race", race)
    monkeypatch.setattr(search, "HANDFUL", 2)
    for mode in session_module.MODES:
        effort = session_module.Effort(seconds=60, least_share=0, patience=1)
        monkeypatch.setitem(session_module.MODES, mode, effort)


def test_a_tuned_model_computes_the_same(store, small, eager_to_change):
    model, x = small
    result = ts.tune(model, x)
    assert {kernel.status for kernel in result.kernels} == {"tuned"}
    schedules = [launch.schedule for launch in result.module._current.program.compiled.launches]
    assert schedules == [kernel.point for kernel in result.kernels]
    with torch.no_grad():
        torch.testing.assert_close(result.module(x), model(x), rtol=1e-4, atol=1e-4)
    assert result.measured > 0
    assert result.gain == pytest.approx(2.0)


def test_a_converted_model_takes_what_was_found_without_a_new_capture(
    store, small, eager_to_change, monkeypatch
):
    model, x = small
    converted = ts.from_pytorch(model, (x,))
    before = converted(x)
    monkeypatch.setattr("tessera.compiling.climb", None)  # a capture would fail
    result = ts.tune(converted, x)
    assert result.module is converted
    compiled = converted._current.program.compiled
    assert [launch.schedule for launch in compiled.launches] == [k.point for k in result.kernels]
    torch.testing.assert_close(converted(x), before, rtol=1e-4, atol=1e-4)
    assert converted._fast is not None


def test_what_was_found_is_not_searched_for_again(store, small, eager_to_change):
    model, x = small
    first = ts.tune(model, x)
    again = ts.tune(model, x)
    assert again.measured == again.tried == 0
    assert {kernel.status for kernel in again.kernels} == {"stored"}
    assert [k.point for k in again.kernels] == [k.point for k in first.kernels]
    assert [k.change for k in again.kernels] == [k.change for k in first.kernels]
    plain = ts.from_pytorch(model, (x,))
    compiled = plain._current.program.compiled
    assert [launch.schedule for launch in compiled.launches] == [k.point for k in first.kernels]
    off = ts.from_pytorch(model, (x,), tune="off")
    defaults = [launch.schedule for launch in off._current.program.compiled.launches]
    assert defaults == [k.default_point for k in first.kernels]


def test_a_thorough_search_goes_on_where_a_quick_one_ended(store, small, eager_to_change):
    model, x = small
    ts.tune(model, x)
    assert ts.tune(model, x, mode="full").measured > 0
    assert ts.tune(model, x, mode="full").measured == 0
    assert ts.tune(model, x, mode="quick").measured == 0


def test_another_build_of_the_compiler_s_points_are_not_used(store, small, eager_to_change):
    import dataclasses

    model, x = small
    ts.tune(model, x)
    store.put([dataclasses.replace(e, build="other") for e in store.entries().values()])
    compiled = ts.from_pytorch(model, (x,))._current.program.compiled
    assert not any(launch.standard for launch in compiled.launches)


def test_from_pytorch_tunes(store, small, eager_to_change):
    model, x = small
    converted = ts.from_pytorch(model, (x,), tune="quick")
    assert store.entries()
    with torch.no_grad():
        torch.testing.assert_close(converted(x), model(x), rtol=1e-4, atol=1e-4)


def test_candidates_with_other_results_are_left_out(store, small, monkeypatch):
    model, x = small
    monkeypatch.setattr(Bench, "agrees", lambda self, candidate: False)
    result = ts.tune(model, x, seconds=1)
    assert all(kernel.point == kernel.default_point for kernel in result.kernels)


def test_results_that_differ_are_noticed(small):
    from tessera import _core

    model, x = small
    converted = ts.from_pytorch(model, (x,), tune="off")
    kernel = _core.tunable_kernels(converted._current.program.compiled)[0]
    bench = Bench(kernel, 1, cold=True)
    assert bench.agrees(bench.reference)
    bench._expected[0][5, 7] += 0.05
    assert not bench.agrees(bench.reference)
    bench._expected[0][5, 7] = float("nan")
    assert not bench.agrees(bench.reference)


def test_ctrl_c_keeps_what_was_found(store, small, monkeypatch):
    model, x = small
    searched = session_module.Search.run
    calls = []

    def run(self, seconds):
        if calls:
            raise KeyboardInterrupt
        calls.append(self)
        return searched(self, 0.3)

    monkeypatch.setattr(session_module.Search, "run", run)
    result = ts.tune(model, x)
    assert result.interrupted
    assert "interrupted" in repr(result)
    efforts = [entry.effort for entry in store.entries().values()]
    assert efforts.count("quick") == 1
    assert result.module(x).shape == (48, 64)


def test_seconds_are_a_limit(store, small):
    model, x = small
    begin = time.perf_counter()
    result = ts.tune(model, x, mode="full", seconds=1)
    assert time.perf_counter() - begin < 120  # machines that run tests are busy
    assert result.seconds < 60


def test_the_table_names_kernels_times_and_changes(store, small, eager_to_change):
    model, x = small
    text = str(ts.tune(model, x))
    head, columns, *rows = text.splitlines()
    assert head.startswith("tune=quick: 3 of 3 kernels better than by default: ")
    assert columns.split()[:4] == ["kernel", "shape", "module", "runs"]
    assert any("48x64 · 256x64 float32" in row and " up " in row for row in rows)
    assert all("2.00x" in row for row in rows)
    pytest.importorskip("rich")
    assert ts.tune(model, x).rich_table().row_count == 3


def test_hybrid_models_have_their_parts_tuned(store, eager_to_change):
    class Data(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Small()

        def forward(self, x):
            return self.inner(x) if x.sum().item() > 0 else self.inner(-x)

    model, x = Data().eval(), torch.rand(48, 64)
    result = ts.tune(model, x)
    assert len(result.kernels) >= 3
    with torch.no_grad():
        torch.testing.assert_close(result.module(x), model(x), rtol=1e-4, atol=1e-4)


def test_sizes_that_change_are_tuned_at_the_size_of_the_call(store, eager_to_change):
    model = Small().eval()
    sizes = {"x": {0: torch.export.Dim("batch", max=64)}}
    converted = ts.from_pytorch(model, (torch.randn(8, 64),), dynamic_shapes=sizes)
    x = torch.randn(33, 64)
    assert ts.tune(converted, x).measured > 0
    with torch.no_grad():
        for batch in (33, 8, 50):
            x = torch.randn(batch, 64)
            torch.testing.assert_close(converted(x), model(x), rtol=1e-4, atol=1e-4)
    # Sizes between the same powers of two are one range: what was found serves them all.
    for batch, is_tuned in ((33, True), (50, True), (60, True), (8, False)):
        converted(torch.randn(batch, 64))
        launches = converted._current.program.compiled.launches
        assert all(bool(launch.standard) == is_tuned for launch in launches), batch
        again = ts.tune(converted, torch.randn(batch, 64))
        assert (again.measured == 0) == is_tuned


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: ts.from_pytorch(m, (x,), tune=True), "tune must be one of"),
        (lambda m, x: ts.from_pytorch(m, (x,), tune="max"), '"quick", "full", not \'max\''),
        (lambda m, x: ts.tune(m, x, mode="cached"), "mode must be one of"),
        (lambda m, x: ts.tune(m, x, mode=["quick"]), "mode must be one of"),
        (lambda m, x: ts.tune(m, x, seconds=0), "seconds must be a positive"),
        (lambda m, x: ts.tune(m, x, seconds="long"), "seconds must be a positive"),
        (lambda m, x: ts.tune(m, x, seconds=True), "seconds must be a positive"),
        (lambda m, x: ts.tune(ts.from_pytorch(m, (x,)), x, threads=2), "leave threads= out"),
    ],
)
def test_wrong_arguments_are_named(small, call, message):
    with pytest.raises(ValueError, match=message):
        call(*small)


def test_what_is_no_model_is_named():
    with pytest.raises(TypeError, match=r"tune takes a torch\.nn\.Module.*not int"):
        ts.tune(3)


def test_a_second_process_tunes_nothing(tmp_path):
    script = """
        import torch, tessera as ts
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.GELU()).eval()
        result = ts.tune(model, torch.randn(32, 64), seconds=15)
        print(result.measured, [kernel.point for kernel in result.kernels])
    """

    def run() -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            env=os.environ | {"TESSERA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        measured, _, points = done.stdout.partition(" ")
        return measured, points

    first, second = run(), run()
    assert int(first[0]) > 0
    assert second == ("0", first[1])


def test_the_setting_names_the_ways(monkeypatch):
    from tessera._settings import _tune

    assert settings().tune in ("off", "cached", "quick", "full")
    monkeypatch.setenv("TESSERA_TUNE", "often")
    with pytest.raises(ValueError, match="TESSERA_TUNE is 'often'"):
        _tune()


def test_points_change_by_name():
    point = Point("#schedule.x", (("a", "1"), ("b", "true")))
    assert str(point.changed(b="false", c="4")) == "#schedule.x<a = 1, b = false, c = 4>"
    assert point.changed(b="false").difference(point) == "b false (true)"
    space = Space([("a", ["4", "1", "2"]), ("b", ["false", "true"])])
    assert [str(item) for item in space.neighbours(point)] == [
        "#schedule.x<a = 2, b = true>",
        "#schedule.x<a = 4, b = true>",
        "#schedule.x<a = 1, b = false>",
    ]
    assert len({str(item) for item in space.points(point)}) == space.size == 6


def test_without_a_folder_the_table_says_that_nothing_is_kept(small, monkeypatch, eager_to_change):
    own = Store("")
    for module in ("tessera.tuning.stored", "tessera.tuning.api"):
        monkeypatch.setattr(f"{module}.store", lambda: own)
    monkeypatch.setattr(stored, "_made", ({}, None))
    model, x = small
    assert "kept for this process only" in repr(ts.tune(model, x))
    assert ts.tune(model, x).measured == 0


def test_kernels_that_cannot_run_alone_are_left_as_they_are(store, small, monkeypatch):
    def refuse(kernel, threads, *, cold):
        raise RuntimeError("an index is out of range")

    monkeypatch.setattr(session_module, "Bench", refuse)
    model, x = small
    result = ts.tune(model, x)
    assert {kernel.status for kernel in result.kernels} == {"failed"}
    assert result.module(x).shape == (48, 64)
    monkeypatch.setattr(session_module, "Bench", None)  # not even tried
    assert ts.tune(model, x).measured == 0
