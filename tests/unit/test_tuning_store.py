# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The store of tuned schedules: several writers, killed ones, full disks, damaged bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import multiprocessing
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tessera._folders import refusal
from tessera.errors import CacheWarning
from tessera.tuning.store import FILE_NAME, Entry, Store


def entry(number: int = 0, **changes: object) -> Entry:
    made = Entry(
        hashlib.sha256(str(number).encode()).hexdigest(), "rows", "8x8 float32", "layer.0",
        "znver5", 1, "build", f"#schedule.elementwise<lanes = {number}>",
        "#schedule.elementwise<lanes = 64>", 12.5, 10.0, "quick", 1e9 + number,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def in_process(work: Callable[..., object], *arguments: object) -> Any:
    """A process of its own that does `work`; its exit code says whether that succeeded."""
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


def finish(process: Any) -> int | None:
    process.join(timeout=120)
    return process.exitcode


def test_what_is_put_is_there_for_others(tmp_path):
    store = Store(str(tmp_path / "new"))
    assert store.entries() == {}
    assert store.put([entry(1), entry(2)])
    assert Store(str(tmp_path / "new")).entries() == {e.key: e for e in (entry(1), entry(2))}
    assert store.put([entry(1, best_us=9.0)])
    assert store.entries()[entry(1).key].best_us == 9.0
    assert store.remove([entry(1).key, entry(7).key]) == 1
    assert list(store.entries()) == [entry(2).key]
    assert store.remove() == 1
    assert store.entries() == {}


def test_without_a_folder_entries_last_as_long_as_the_process():
    store = Store("")
    assert not store.put([entry()])
    assert store.entries() == {entry().key: entry()}
    assert store.remove() == 1


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"key": "../../x"}, "key"),
        ({"effort": "huge"}, "effort"),
        ({"best_us": "1"}, "best_us"),
        ({"threads": True}, "threads"),
    ],
)
def test_fields_are_what_they_should_be(changes, what):
    with pytest.raises(ValueError, match=what):
        Store("").put([entry(**changes)])


def put_one_by_one(folder: str, numbers: range) -> None:
    store = Store(folder)
    for number in numbers:
        assert store.put([entry(number)])


def test_writers_at_the_same_time_lose_nothing(tmp_path):
    count = 25
    writers = [
        in_process(put_one_by_one, str(tmp_path), range(turn * count, (turn + 1) * count))
        for turn in range(4)
    ]
    assert [finish(writer) for writer in writers] == [0] * 4
    expected = {entry(number).key: entry(number) for number in range(4 * count)}
    assert Store(str(tmp_path)).entries() == expected


def put_pairs(folder: str, number: int) -> None:
    while True:
        Store(folder).put([entry(number), entry(number + 100_000)])
        number += 1


def test_a_writer_that_is_killed_leaves_whole_transactions(tmp_path):
    for turn in range(8):
        writer = in_process(put_pairs, str(tmp_path), turn * 1000)
        while not (tmp_path / FILE_NAME).exists():
            time.sleep(0.001)
        time.sleep(0.02 + 0.013 * turn)
        writer.kill()
        assert finish(writer) == -signal.SIGKILL
        found = {item.created - 1e9 for item in Store(str(tmp_path)).entries().values()}
        assert all((number + 100_000) % 200_000 in found for number in found)
    assert found
    assert Store(str(tmp_path)).put([entry(77)])
    assert not list(tmp_path.glob("*.damaged-*"))


def test_a_reader_may_open_it_before_the_first_writer_is_done(tmp_path):
    (tmp_path / FILE_NAME).touch()
    assert Store(str(tmp_path)).entries() == {}
    assert Store(str(tmp_path)).put([entry()])
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("damage", ["noise", "short", "zeros", "other table", "middle"])
def test_a_damaged_file_is_set_aside_and_a_new_one_made(tmp_path, damage):
    path = tmp_path / FILE_NAME
    Store(str(tmp_path)).put([entry(number) for number in range(200)])
    whole = path.read_bytes()
    if damage == "noise":
        path.write_bytes(os.urandom(5000))
    elif damage == "short":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "zeros":
        path.write_bytes(whole[:100] + bytes(len(whole) - 100))
    elif damage == "middle":
        path.write_bytes(whole[:4096] + os.urandom(len(whole) - 8192) + whole[-4096:])
    else:
        path.unlink()
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE schedules (x)")
    store = Store(str(tmp_path))
    with pytest.warns(CacheWarning, match="is damaged .* a new one is made"):
        assert store.entries() == {}
    assert store.put([entry(1)])
    assert list(Store(str(tmp_path)).entries()) == [entry(1).key]
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1


def test_entries_whose_bytes_changed_are_none(tmp_path):
    Store(str(tmp_path)).put([entry(1), entry(2)])
    path = tmp_path / FILE_NAME
    point = entry(2).point.encode()
    path.write_bytes(path.read_bytes().replace(point, point.replace(b"2", b"3")))
    assert list(Store(str(tmp_path)).entries()) == [entry(1).key]


def put_too_much(folder: str) -> None:
    size = (Path(folder) / FILE_NAME).stat().st_size
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    store = Store(folder)
    with pytest.warns(CacheWarning, match="cannot write") as caught:
        assert not store.put([entry(number) for number in range(100, 400)])
    assert not store.put([entry(number) for number in range(400, 700)])
    assert len(caught) == 1
    assert len(store.entries()) == 650


def test_a_full_disk_costs_a_warning_and_what_was_there_stays(tmp_path):
    Store(str(tmp_path)).put([entry(number) for number in range(50)])
    assert finish(in_process(put_too_much, str(tmp_path))) == 0
    assert len(Store(str(tmp_path)).entries()) == 50


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    store = Store(str(blocked))
    with pytest.warns(CacheWarning, match="cannot write"):
        assert not store.put([entry()])
    assert store.entries() == {entry().key: entry()}


def test_folders_that_others_can_write_to_are_refused(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o700)
    assert refusal(mine) is None
    assert refusal(mine / "not" / "yet") is None
    mine.chmod(0o777)
    assert "by everybody (mode 777)" in refusal(mine)
    inner = mine / "inner"
    inner.mkdir(mode=0o700)
    assert str(mine) in refusal(inner)  # they can exchange it
    mine.chmod(0o1777)
    assert refusal(inner) is None
    assert "by everybody" in refusal(mine)


def test_a_cache_that_others_can_write_to_is_not_used(tmp_path):
    tmp_path.chmod(0o777)
    script = """
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            from tessera._settings import settings
            assert settings().cache_dir == ""
        print(*[item.message for item in caught])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=os.environ | {"TESSERA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "can be written to by everybody" in done.stdout
    assert "chmod go-w" in done.stdout
