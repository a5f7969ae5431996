# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Versions, settings and the command line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tessera import _settings, _versions
from tessera.errors import ArgumentError, VersionError


@pytest.mark.parametrize("version", ["2.12.1", "2.14.0", "3.0", "nonsense"])
def test_other_versions_of_torch_are_refused(version):
    with pytest.raises(VersionError, match=rf"torch >=2.13,<2.14; torch {version}") as caught:
        _versions.check_torch(version)
    assert isinstance(caught.value, ImportError)
    assert "pip install" in caught.value.remedy


@pytest.mark.parametrize("version", ["2.13.0", "2.13.0+cpu", "2.13.1a0"])
def test_versions_of_torch_that_work(version):
    _versions.check_torch(version)


def test_other_versions_of_python_are_refused():
    with pytest.raises(VersionError, match=r"Python >=3.11.*3.10"):
        _versions.check_python((3, 10))


@pytest.fixture
def fresh():
    _settings.settings.cache_clear()
    yield
    _settings.settings.cache_clear()


def test_settings(monkeypatch, tmp_path, fresh):
    monkeypatch.setenv("TESSERA_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TESSERA_DEBUG", "graph, time")
    assert _settings.settings().cache_dir == str(tmp_path)
    assert _settings.settings().debug == {"graph", "time"}
    monkeypatch.setenv("TESSERA_CACHE_DIR", "off")
    assert _settings.settings().cache_dir == str(tmp_path), "read once"
    _settings.settings.cache_clear()
    assert _settings.settings().cache_dir == ""
    monkeypatch.delenv("TESSERA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    _settings.settings.cache_clear()
    assert _settings.settings().cache_dir == str(tmp_path / "tessera")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", 2 << 30),
        ("4096", 4096),
        ("500M", 500 << 20),
        ("500 mb", 500 << 20),
        ("1.5GiB", 3 << 29),
        ("0", 0),
        ("unlimited", _settings.UNLIMITED),
        ("9999999999T", _settings.UNLIMITED),
    ],
)
def test_the_size_of_the_cache(monkeypatch, fresh, text, size):
    monkeypatch.setenv("TESSERA_CACHE_SIZE", text)
    assert _settings.settings().cache_bytes == size


@pytest.mark.parametrize("text", ["much", "-1", "5X", "1e9", "M"])
def test_what_is_no_size_of_the_cache(monkeypatch, fresh, text):
    monkeypatch.setenv("TESSERA_CACHE_SIZE", text)
    with pytest.raises(ArgumentError, match=f"TESSERA_CACHE_SIZE is '{text}'") as caught:
        _settings.settings()
    assert "500M" in caught.value.remedy


def test_an_unknown_debug_flag_is_an_error(monkeypatch, fresh):
    monkeypatch.setenv("TESSERA_DEBUG", "grpah")
    with pytest.raises(ArgumentError, match="grpah") as caught:
        _settings.settings()
    assert "graph" in caught.value.remedy


def _run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tessera", *arguments], capture_output=True, text=True, check=True
    ).stdout


def test_tessera_info():
    text = _run("info")
    for word in ("CPU", "Python", "torch", "LLVM", "cache"):
        assert word in text
    data = json.loads(_run("info", "--json"))
    assert data["versions"]["torch_range"] == ">=2.13,<2.14"
    assert data["cpu"]["usable_cores"] >= 1
