# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The cache of kernels on disk: killed writers, its size, several processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

#: What every process of these tests begins with.
PRELUDE = """
import os, random, resource, signal, sys, time
import torch
from torch import nn
import tessera as ts

torch.set_num_threads(1)

def convert(width):
    torch.manual_seed(width)
    model = nn.Sequential(nn.Linear(width, 8), nn.GELU(), nn.LayerNorm(8)).eval()
    return model, ts.from_pytorch(model, (torch.randn(2, width),), strict=True)

def check(width):
    model, tess = convert(width)
    x = torch.randn(2, width)
    with torch.no_grad():
        torch.testing.assert_close(tess(x), model(x))
    return tess.report
"""


def run(script: str, folder: Path, **environment: str) -> str:
    """What a process with its cache in `folder` prints."""
    env = os.environ | environment | {"TESSERA_CACHE_DIR": str(folder), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script)],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "damaged" not in result.stderr, result.stderr
    return result.stdout


def files(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.rglob(pattern) if path.is_file())


KILLS = """
    convert(3)  # before the fork: nobody waits for imports
    rounds = 12
    for round in range(rounds):
        child = os.fork()
        if not child:
            width = 8 + 100 * round
            while True:
                width += 1
                convert(width)
        # From the middle of the first conversion to that of a later one.
        time.sleep(random.Random(round).uniform(0.05, 0.7))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the child ended by itself"
        # What it left is used now, whole or not at all.
        for width in range(9 + 100 * round, 12 + 100 * round):
            check(width)
    print(rounds)
"""


def test_killed_writers_leave_a_cache_that_works(tmp_path):
    assert run(KILLS, tmp_path).strip() == "12"
    entries = files(tmp_path, "*.o")
    assert len(entries) > 12
    # Another process finds the entries of the killed ones, and the right numbers in them.
    script = """
        hits = 0
        for round in range(12):
            report = check(9 + 100 * round)
            hits += sum(row.cached for row in report.kernels)
        print(hits)
    """
    assert int(run(script, tmp_path)) >= 12


IN_THE_MIDDLE = """
    convert(3)
    child = os.fork()
    if not child:
        # The kernel ends the process in the middle of the write that passes this size.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        convert(21)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXFSZ, status
    check(21)
"""


def test_killed_in_the_middle_of_a_write(tmp_path):
    run(IN_THE_MIDDLE, tmp_path)
    (half,) = files(tmp_path, "*.tmp")
    assert half.stat().st_size == 500
    # It may be somebody's who is writing just now, and is no entry.
    run("check(21)", tmp_path)
    assert half.exists()
    hour_ago = time.time() - 3700
    os.utime(half, (hour_ago, hour_ago))
    # Opening the cache is enough, even where everything is found in it.
    run("check(21)", tmp_path)
    assert not half.exists()
    assert files(tmp_path, "*.o")


def test_two_processes_share_a_small_cache(tmp_path):
    """Each writes more than fits, and removes what the other has written and reads."""
    script = """
        child = os.fork()
        for width in [*range(9, 29), *range(9, 29)] if child else [*range(28, 8, -1)] * 2:
            check(width)
        if child:
            _, status = os.waitpid(child, 0)
            assert status == 0, status
        else:
            os._exit(0)
    """
    run(script, tmp_path, TESSERA_CACHE_SIZE="60K")
    entries = files(tmp_path, "*.o")
    assert entries
    # Each may be an eighth past the limit before it looks what the other has written.
    assert sum(path.stat().st_size for path in entries) <= 60 * 1024 * 1.25


def test_a_cache_of_size_zero_keeps_nothing(tmp_path):
    run("check(9)", tmp_path, TESSERA_CACHE_SIZE="0")
    assert not files(tmp_path, "*.o")
