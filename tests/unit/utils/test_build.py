# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""utils/build: when it configures, with a CMake and a Ninja that only write down their calls."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "utils" / "build"

CMAKE = '#!/bin/sh\necho "cmake $*" >>calls\nmkdir -p build/dev && echo >build/dev/build.ninja\n'
NINJA = '#!/bin/sh\necho "ninja $*" >>calls\n'


@pytest.fixture
def checkout(tmp_path):
    """A checkout that has utils/build and the two programs it calls."""
    (tmp_path / "utils").mkdir()
    shutil.copy(SCRIPT, tmp_path / "utils" / "build")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, text in (("cmake", CMAKE), ("ninja", NINJA)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return tmp_path


def configures(checkout: Path) -> bool:
    """Whether utils/build, run now, configures before it builds."""
    calls = checkout / "calls"
    calls.unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "PRESET"}
    subprocess.run([checkout / "utils" / "build"], check=True, env=environment)
    programs = [line.split()[0] for line in calls.read_text().splitlines()]
    assert programs in (["ninja"], ["cmake", "ninja"])
    return programs[0] == "cmake"


def test_configures_once(checkout):
    assert configures(checkout)
    assert not configures(checkout)


def test_configures_again_when_the_packages_changed(checkout):
    # `make demo` installs less than `make test`, and CMake remembers what it did not find.
    packages = checkout / "build" / "packages"
    packages.parent.mkdir()
    packages.write_text("clang-22\n")
    assert configures(checkout)
    configured = (checkout / "build" / "dev" / "build.ninja").stat().st_mtime
    os.utime(packages, (configured - 10, configured - 10))
    assert not configures(checkout)
    os.utime(packages, (configured + 10, configured + 10))
    assert configures(checkout)
