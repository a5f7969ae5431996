# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whether a folder may be trusted with code: who can write to it can run code as its reader."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path


def refusal(folder: str | Path) -> str | None:
    """Why `folder` is not to be used as a cache; None where it may, or is not there yet.

    It must belong to the user (or to root), and nobody else may write to it, nor exchange it or a
    folder above it. A group that is the user's own is nobody else.
    """
    path = Path(os.path.realpath(folder))
    for place in (path, *path.parents):
        try:
            status = place.stat()
        except OSError:
            continue
        above = place != path
        if above and status.st_mode & stat.S_ISVTX:
            continue  # others cannot exchange what is in it
        mode = f"mode {status.st_mode & 0o777:o}"
        if status.st_mode & stat.S_IWOTH:
            return f"the folder {place} can be written to by everybody ({mode})"
        if status.st_mode & stat.S_IWGRP and not _is_private(status.st_gid):
            return f"the folder {place} can be written to by its group, {status.st_gid} ({mode})"
        if not above and status.st_uid not in (os.geteuid(), 0):
            return f"the folder {place} belongs to another user (id {status.st_uid})"
    return None


def _is_private(group: int) -> bool:
    """Whether a group is root's, or the user's own: many systems give each user one."""
    if group in (0, os.geteuid()):
        return True
    try:
        return grp.getgrgid(group).gr_name == pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return False
