# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``tessera cache`` and ``tessera tune``."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import textwrap

import pytest
from test_tuning_store import entry

pytest.importorskip("typer")
pytest.importorskip("rich")
from typer.testing import CliRunner

from tessera import _core
from tessera._settings import settings
from tessera.cli.app import app
from tessera.tuning.store import Store


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A cache with two schedules and a kernel."""
    own = dataclasses.replace(settings(), cache_dir=str(tmp_path))
    monkeypatch.setattr("tessera._settings.settings", lambda: own)
    monkeypatch.setattr("tessera.tuning.stored.settings", lambda: own)
    build = _core.host_info().compiler_build
    point = "#schedule.elementwise<lanes = 16, grain = 16384>"
    default = "#schedule.elementwise<lanes = 64, grain = 16384>"
    texts = {"point": point, "default_point": default}
    Store(str(tmp_path)).put([entry(1, build=build, **texts), entry(2, **texts)])
    kernel = tmp_path / "ab" / ("0" * 62 + ".o")
    kernel.parent.mkdir()
    kernel.write_bytes(b"code")
    (tmp_path / "ab" / "notes.txt").write_text("mine")
    return tmp_path


def run(*arguments, status=0, **options):
    done = CliRunner().invoke(app, list(arguments), **options)
    assert done.exit_code == status, done.output
    return done.output


def test_the_list_has_schedules_and_code(folder):
    text = run("cache", "list")
    assert entry(1).key[:10] in text
    assert "1.25x" in text
    assert "other build" in text
    assert "2 schedules, 1 kernels" in text
    data = json.loads(run("cache", "list", "--json"))
    assert {row["key"] for row in data["schedules"]} == {entry(1).key, entry(2).key}
    assert (data["kernels"], data["kernel_bytes"]) == (1, 4)


def test_one_is_shown_by_the_beginning_of_its_key(folder):
    text = run("cache", "show", entry(1).key[:6])
    assert "#schedule.elementwise<lanes = 16, grain = 16384>" in text
    assert "yes" in text
    assert "no: another build made it" in run("cache", "show", entry(2).key[:6])
    assert "no schedule's key begins with 'zz'" in run("cache", "show", "zz", status=1)


def test_clear_asks_and_forgets(folder):
    assert "Forget 2 schedules and 1 kernels" in run("cache", "clear", input="n\n", status=1)
    assert len(Store(str(folder)).entries()) == 2
    run("cache", "clear", "--kernels", "-y")
    assert not list(folder.rglob("*.o"))
    run("cache", "clear", "-y", entry(1).key[:8])
    assert list(Store(str(folder)).entries()) == [entry(2).key]
    run("cache", "clear", "-y")
    assert not Store(str(folder)).entries()
    assert (folder / "ab" / "notes.txt").exists()


def test_what_is_exported_can_be_imported(folder):
    before = Store(str(folder)).entries()
    run("cache", "export", str(folder / "out.json"))
    text = run("cache", "export", "-")
    assert json.loads(text) == json.loads((folder / "out.json").read_text())
    run("cache", "clear", "--schedules", "-y")
    assert "took 2 schedules, 1 of them of this build" in run("cache", "import", "-", input=text)
    assert Store(str(folder)).entries() == before


def changed(**fields):
    def change(data):
        data["schedules"][1].update(fields)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(point="#schedule.elementwise<lanes = 16>"), "schedule 1: .*grain"),
        (changed(point="import os"), "schedule 1: it is no attribute of the schedule level"),
        (changed(point="#schedule.elementwise<lanes = 16, grain = 1> junk"), "something follows"),
        (changed(key="../../../etc/passwd"), "schedule 1: key is"),
        (changed(module="\x1b[2Jgone"), "schedule 1: module is no line of text"),
        (changed(default_us="fast"), "schedule 1: default_us is 'fast'"),
        (changed(best_us=float("nan")), "schedule 1: best_us is nan"),
        (changed(default_us=-5), "schedule 1: default_us is -5"),
        (changed(threads=10**30), "schedule 1: threads is 10"),
        (changed(created=1e300), "schedule 1: created is 1e"),
        (changed(created=-(10**17)), "schedule 1: created is -10"),
        (changed(code="x"), "schedule 1: .*code"),
        (lambda data: data["schedules"].append(3), "schedule 2: it is no object"),
        (lambda data: data.update(format="pickle"), '"format" should be'),
        (lambda data: data.update(schedules={}), '"schedules" should be a list'),
    ],
)
def test_an_import_takes_all_or_nothing(folder, change, message):
    data = json.loads(run("cache", "export", "-"))
    change(data)
    run("cache", "clear", "--schedules", "-y")
    text = " ".join(run("cache", "import", "-", input=json.dumps(data), status=1).split())
    import re

    assert re.search(message, text), text
    assert not Store(str(folder)).entries()


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\x80PK", "null"])
def test_what_is_no_export_is_refused(folder, text):
    assert "error" in run("cache", "import", "-", input=text, status=1)
    assert len(Store(str(folder)).entries()) == 2


def test_without_a_cache_it_says_so(monkeypatch):
    off = dataclasses.replace(settings(), cache_dir="")
    monkeypatch.setattr("tessera._settings.settings", lambda: off)
    assert "there is no cache folder" in run("cache", "list", status=1)


def test_a_program_is_tuned_as_it_runs(tmp_path):
    (tmp_path / "program.py").write_text(
        textwrap.dedent("""
        import sys
        import torch
        import tessera as ts

        assert __name__ == "__main__"
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.GELU()).eval()
        ts.from_pytorch(model, (torch.randn(32, 64),))
        ts.jit(lambda x: ts.ops.softmax(x * 2, -1))(torch.randn(64, 300))
        print(sys.argv[1:])
        sys.exit(3)
        """)
    )

    def tune(*options: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tessera", "tune", "--seconds", "15", *options],
            env=os.environ | {"TESSERA_CACHE_DIR": str(tmp_path / "cache")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 3, done.stderr
        assert done.stdout == "['--size', '3']\n"
        return done.stderr

    first = tune("program.py", "--size", "3")
    assert "contraction" in first
    assert "rows" in first
    assert first.count("points tried") == 2
    assert tune("-m", "program", "--size", "3").count("all known") == 2


def test_a_program_that_is_not_there_is_named():
    assert "no file 'nowhere.py'" in run("tune", "nowhere.py", status=2)
