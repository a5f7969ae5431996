# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Time and memory of a conversion's phases, and the bar that shows them."""

import io
import sys
import time

import pytest
import torch
from torch import nn

import tessera as ts
from tessera import _settings, phases
from tessera.report.report import Report, size


def test_phases_count_what_is_their_own():
    report = Report("model")
    with phases.phase(report, "capture"):
        time.sleep(0.02)
        with phases.phase(report, "import"):
            time.sleep(0.05)
        with phases.phase(report, "import"):
            time.sleep(0.05)
    assert 20 <= report.timings["capture"] < 90
    assert report.timings["import"] >= 100
    assert report.memory.keys() == {"capture", "import"}


def test_phases_of_a_failure_are_counted():
    report = Report("model")
    with pytest.raises(ValueError, match="no"), phases.phase(report, "capture"):
        raise ValueError("no")
    assert "capture" in report.timings


def test_memory_of_a_phase():
    report = Report("model")
    with phases.phase(report, "compile"):
        held = torch.ones(16 << 20)
    assert report.memory["compile"] > 48 << 20
    del held


def test_parts_of_compiling():
    report = ts.from_pytorch(nn.Linear(4, 4), (torch.randn(2, 4),)).report
    parts = [report.timings[name] for name in ("graph", "schedule", "tile", "code")]
    assert 0 < sum(parts) <= report.timings["compile"]
    assert "compile" in report.times
    assert "(graph" in report.times


@pytest.mark.parametrize(
    "convert",
    [
        lambda: ts.from_pytorch(nn.Linear(4, 4), (torch.randn(2, 4),)),
        lambda: ts.jit(lambda x: x * 2)(torch.randn(3)),
    ],
)
def test_debug_time_prints_the_phases(convert, monkeypatch, capsys):
    monkeypatch.setenv("TESSERA_DEBUG", "time")
    _settings.settings.cache_clear()
    try:
        convert()
    finally:
        monkeypatch.undo()
        _settings.settings.cache_clear()
    printed = capsys.readouterr().err
    for name in ("capture", "compile", "graph", "schedule", "tile", "code"):
        assert f"  {name} " in printed
    assert "MB" in printed


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bar_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(phases, "BAR_AFTER", 0.05)
    monkeypatch.setenv("TERM", "xterm")
    with phases.conversion("Big") as running:
        running.phase = "compile"
        end = time.monotonic() + 30  # the first one loads the library that draws
        while "compiling kernels" not in terminal.getvalue() and time.monotonic() < end:
            time.sleep(0.05)
    assert "Big: compiling kernels" in terminal.getvalue()


def test_no_bar_for_short_work_or_elsewhere(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with phases.conversion("Small"):
        pass
    assert terminal.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with phases.conversion("Piped") as running:
        assert running._bar is None


def test_conversions_within_one_are_part_of_it():
    with phases.conversion("outer") as outer, phases.conversion("inner") as inner:
        assert inner is outer
        assert phases.progress() is outer.progress
    assert phases.progress() is None


def test_kernels_are_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("TESSERA_CACHE_DIR", "off")
    _settings.settings.cache_clear()
    try:
        with phases.conversion("model") as running:
            ts.from_pytorch(nn.Linear(5, 7), (torch.randn(3, 5),))
        assert running.progress.done == running.progress.total > 0
    finally:
        monkeypatch.undo()
        _settings.settings.cache_clear()


def test_memory_of_a_program():
    model = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.LayerNorm(256), nn.Linear(256, 64))
    buffers = ts.from_pytorch(model, (torch.randn(32, 64),)).report.buffers
    assert buffers.arena >= buffers.live >= 32 * 256 * 4
    assert buffers.parameters == sum(p.numel() * 4 for p in model.parameters())
    assert 2 * 64 * 256 * 4 <= buffers.prepared < 3 * 64 * 256 * 4
    assert "packed weights" in str(buffers)


def test_sizes_in_words():
    assert [size(n) for n in (0, 999, 1000, 123_456_789)] == ["0 B", "999 B", "1 KB", "123 MB"]


@pytest.mark.parametrize("dynamic", [False, True])
def test_no_copies_of_weights(dynamic):
    """Convolutions and products read the parameters themselves."""
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(4),
        nn.Flatten(), nn.Linear(256, 64),
    ).eval()  # fmt: skip
    x = torch.randn(2, 3, 16, 16)
    shapes = {"input": {0: torch.export.Dim("batch", max=8)}} if dynamic else None
    packed = ts.from_pytorch(model, (x,), dynamic_shapes=shapes)
    plain = ts.from_pytorch(model, (x,), dynamic_shapes=shapes, prepack=False)
    assert packed.report.buffers.prepared > 0
    assert plain.report.buffers.prepared == 0
    with torch.no_grad():
        torch.testing.assert_close(plain(x), model(x), rtol=1e-4, atol=1e-5)
        model[5].weight.mul_(2)
        torch.testing.assert_close(plain(x), model(x), rtol=1e-4, atol=1e-5)


def test_prepack_is_true_or_false():
    with pytest.raises(ts.errors.ArgumentTypeError, match="prepack must be True or False"):
        ts.from_pytorch(nn.Linear(2, 2), (torch.randn(1, 2),), prepack="no")


@torch.no_grad()
def test_copies_between_layouts_are_counted() -> None:
    """A convolution among channels reads and writes them last: two conversions at its borders."""
    model, x = nn.Conv2d(64, 64, 3, padding=1).eval(), torch.randn(1, 64, 56, 56)
    report = ts.from_pytorch(model, (x,), strict=True).report
    assert [kernel.kind for kernel in report.kernels if kernel not in report.copies] == [
        "convolution"
    ]
    assert len(report.copies) == 2
    moved = sum(kernel.bytes for kernel in report.copies)
    assert moved >= 4 * x.nbytes
    assert "in 2 launches (" in report.copied
    assert report.copied in str(report)
    assert report.to_dict()["copies"] == [kernel.name for kernel in report.copies]

    linear = ts.from_pytorch(nn.Linear(8, 8).eval(), (torch.randn(4, 8),)).report
    assert linear.copies == []
    assert "copies:" not in str(linear)
