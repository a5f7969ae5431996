# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tuned schedules, kept in a database in the cache folder.

One row a kernel: its key stands for the kernel with its shapes and layouts, the machine, the
threads and the build of the compiler. Rows hold schedules, never code, and each has a digest.

Writers are transactions with a rollback journal (no memory shared between processes, so that
folders on a network will do), so that one that is killed leaves what was there before. A
database that is damaged is set aside; one that cannot be read or written costs what was tuned,
with one warning: a conversion never fails because of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TypeVar

from tessera.errors import CacheWarning

#: Version of the table; another one has a file of its own.
FILE_NAME = "schedules-1.sqlite3"
#: Characters of a field.
MAX_TEXT = 2000
#: Seconds a writer waits for others.
PATIENCE_S = 10.0
#: How far kernels were searched, in ascending order; "timed" were too short to be worth it.
EFFORTS = ("timed", "quick", "full")
_KINDS: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
#: The largest values of numbers: the year 2200, a day in microseconds.
_MOST = {"threads": 1 << 16, "created": 7.3e9, "default_us": 8.64e10, "best_us": 8.64e10}
_KEY = re.compile(r"[0-9a-f]{64}")

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One tuned kernel."""

    key: str
    #: class of kernels: contraction, attention, rows, …
    kind: str
    #: for people: what goes in, and the module of a model that it was tuned for
    shape: str
    module: str
    cpu: str
    threads: int
    #: of the compiler: points of another one are kept, and not used
    build: str
    point: str
    default_point: str
    #: microseconds a call with the default point, and with `point`
    default_us: float
    best_us: float
    effort: str
    #: seconds since 1970
    created: float

    def check(self) -> None:
        """Raises ValueError where a field cannot be what it should be."""
        for field in fields(self):
            value = getattr(self, field.name)
            wanted = _KINDS[str(field.type)]
            if not isinstance(value, wanted) or isinstance(value, bool):
                raise ValueError(f"{field.name} is {value!r}, which is no {field.type}")
            if isinstance(value, str) and not (value.isprintable() and len(value) < MAX_TEXT):
                raise ValueError(f"{field.name} is no line of text")
            most = _MOST.get(field.name)
            if most is not None and not (isinstance(value, int | float) and 0 <= value <= most):
                raise ValueError(f"{field.name} is {value!r}, not a number from 0 to {most:g}")
        if not _KEY.fullmatch(self.key):
            raise ValueError(f"key is {self.key!r}, which is no SHA-256")
        if self.effort not in EFFORTS:
            raise ValueError(f"effort is {self.effort!r}, not one of {', '.join(EFFORTS)}")

    @property
    def is_tuned(self) -> bool:
        """Whether another point than the default one was found better."""
        return self.point != self.default_point

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()


_COLUMNS = [field.name for field in fields(Entry)]
_SCHEMA = f"""CREATE TABLE IF NOT EXISTS schedules (
    {", ".join(f"{name} {'PRIMARY KEY' if name == 'key' else ''}" for name in _COLUMNS)},
    digest
) WITHOUT ROWID"""


class Store:
    """The tuned schedules of a folder; of none where `folder` is empty: then of this process."""

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) / FILE_NAME if folder else None
        #: what could not be written, or has no place on disk
        self._memory: dict[str, Entry] = {}
        self._read: tuple[object, dict[str, Entry]] = (None, {})
        self._warned = False
        #: keys that this process has put
        self.added: set[str] = set()

    def entries(self) -> dict[str, Entry]:
        """All entries by key. Read again when the file has changed."""
        stamp = self._stamp()
        if stamp is None or stamp != self._read[0]:
            self._read = (stamp, self._load() if stamp is not None else {})
        return {**self._read[1], **self._memory}

    def put(self, entries: Iterable[Entry]) -> bool:
        """Adds entries, in place of those with their keys; false where only memory has them."""
        rows = list(entries)
        for entry in rows:
            entry.check()
        self.added.update(entry.key for entry in rows)

        def write(connection: sqlite3.Connection) -> bool:
            marks = ", ".join("?" * (len(_COLUMNS) + 1))
            connection.executemany(
                f"INSERT OR REPLACE INTO schedules VALUES ({marks})",
                [(*astuple(entry), entry.digest) for entry in rows],
            )
            return True

        if self.path is not None and self._run(write, "write", writing=True):
            return True
        self._memory.update({entry.key: entry for entry in rows})
        return False

    def remove(self, keys: Iterable[str] | None = None) -> int:
        """Forgets entries, all of them without `keys`; how many there were."""
        known = self.entries()
        wanted = [key for key in (known if keys is None else keys) if key in known]
        for key in wanted:
            self._memory.pop(key, None)

        def delete(connection: sqlite3.Connection) -> int:
            if keys is None:  # also rows that are no entries
                connection.execute("DELETE FROM schedules")
                return len(wanted)
            rows = [(key,) for key in wanted]
            return connection.executemany("DELETE FROM schedules WHERE key = ?", rows).rowcount

        if self.path is not None and self.path.exists():
            return self._run(delete, "write", writing=True) or 0
        return len(wanted)

    # --- the file -------------------------------------------------------------------------

    def _stamp(self) -> object:
        try:
            status = self.path.stat() if self.path is not None else None
        except OSError:
            return None
        return status and (status.st_ino, status.st_mtime_ns, status.st_size)

    def _load(self) -> dict[str, Entry]:
        def read(connection: sqlite3.Connection) -> dict[str, Entry]:
            found: dict[str, Entry] = {}
            if not _has_table(connection):
                return found
            for *values, digest in connection.execute(
                f"SELECT {', '.join(_COLUMNS)}, digest FROM schedules"
            ):
                entry = Entry(*values)
                # Bytes that changed on the disk: as good as no entry.
                if entry.digest == digest:
                    found[entry.key] = entry
            return found

        return self._run(read, "read") or {}

    def _run(
        self, work: Callable[[sqlite3.Connection], T], what: str, *, writing: bool = False
    ) -> T | None:
        """What `work` gives on a connection, as one transaction; None where that fails."""
        assert self.path is not None
        for attempt in range(2):
            try:
                if writing:
                    self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with _connection(self.path, writing) as connection:
                    return work(connection)
            except (sqlite3.Error, OSError, UnicodeError, TypeError) as error:
                if _is_damage(error) and attempt == 0 and self._set_aside(error):
                    continue
                self._warn(f"cannot {what} {self.path}: {error}")
                return None
        return None

    def _set_aside(self, error: Exception) -> bool:
        """Gives a damaged file another name, unless somebody has done so meanwhile."""
        assert self.path is not None
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns()}")
        try:
            with open(self.path.with_name(f"{self.path.name}.lock"), "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not _still_damaged(self.path):
                    return True
                self.path.rename(aside)
                with contextlib.suppress(FileNotFoundError):
                    self.path.with_name(f"{self.path.name}-journal").unlink()
        except OSError as problem:
            self._warn(f"{self.path} is damaged ({error}) and cannot be set aside: {problem}")
            return False
        self._warn(
            f"{self.path} is damaged ({error}); it is now {aside.name}, and a new one is made"
        )
        return True

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"tuned schedules: {text}", CacheWarning, stacklevel=2)


@contextlib.contextmanager
def _connection(path: Path, writing: bool) -> Iterator[sqlite3.Connection]:
    """A connection for one transaction: none is kept, so that a process may fork at any time."""
    mode = "rwc" if writing else "rw"  # a reader may have to roll a killed writer's journal back
    if not writing and not os.access(path, os.W_OK):
        mode = "ro"
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, timeout=PATIENCE_S, isolation_level=None)
    try:
        if writing:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
        if writing:
            connection.execute(_SCHEMA)
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()  # rolls back what was not committed


def _has_table(connection: sqlite3.Connection) -> bool:
    """Not before the first writer is done."""
    query = "SELECT count(*) FROM sqlite_master WHERE name = 'schedules'"
    return bool(connection.execute(query).fetchone()[0])


def _is_damage(error: Exception) -> bool:
    """Whether what was read is no table of ours, rather than out of reach."""
    if isinstance(error, (UnicodeError, TypeError)):
        return True
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # SQLITE_ERROR: the table has other columns.
    damaged = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
    return code in damaged


def _still_damaged(path: Path) -> bool:
    try:
        with _connection(path, False) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()
            if _has_table(connection):
                connection.execute(f"SELECT {', '.join(_COLUMNS)}, digest FROM schedules LIMIT 1")
            return bool(found != ("ok",))
    except (sqlite3.Error, UnicodeError) as error:
        missing = isinstance(error, sqlite3.OperationalError) and not path.exists()
        return _is_damage(error) and not missing
