# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The versions of Python and PyTorch this package works with."""

from __future__ import annotations

import re
import sys

from tessera.errors import VersionError

PYTHON_MIN, PYTHON_END = (3, 11), (3, 15)
TORCH_MIN, TORCH_END = (2, 13), (2, 14)


def _show(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def check_python(version: tuple[int, int]) -> None:
    """VersionError unless `version` of Python is supported."""
    if not PYTHON_MIN <= version < PYTHON_END:
        raise VersionError(
            f"Tessera needs Python >={_show(PYTHON_MIN)},<{_show(PYTHON_END)}; this is Python "
            f"{_show(version)}",
            remedy=f"create a virtual environment with Python {_show(PYTHON_MIN)}",
        )


def check_torch(version: str) -> None:
    """VersionError unless `version` of PyTorch is supported."""
    match = re.match(r"(\d+)\.(\d+)", version)
    if match is None or not TORCH_MIN <= (int(match[1]), int(match[2])) < TORCH_END:
        raise VersionError(
            f"Tessera needs torch >={_show(TORCH_MIN)},<{_show(TORCH_END)}; torch {version} is "
            "installed",
            remedy=f"pip install 'torch=={_show(TORCH_MIN)}.*'",
        )


def check_versions() -> None:
    """Checks both; a missing PyTorch is an error that says how to get it."""
    check_python(sys.version_info[:2])
    try:
        import torch
    except ImportError as error:
        raise VersionError(
            "Tessera needs PyTorch, which is not installed",
            remedy=f"pip install 'torch=={_show(TORCH_MIN)}.*'",
        ) from error
    check_torch(torch.__version__)
