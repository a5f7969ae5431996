# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs the Python snippets of a page from top to bottom, as a reader who types them in would.

    python tests/unit/snippets.py docs/guide/convert.md

All snippets of a page share one namespace. A block of ``text`` right behind one of ``python`` is
what that one prints; ``…`` in it stands for anything. A block marked ``c`` that begins with
``// name.c`` becomes a file of that name in the directory the page is run in, as does one marked
``python`` that begins with ``# name.py``.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"(?://|#) ([\w.]+\.(?:c|cpp|py))$")


@dataclass
class Snippet:
    """One block of Python."""

    code: str
    #: of its first line in the page
    line: int
    #: what it prints; None where the page does not show it
    printed: str | None = None


@dataclass
class Page:
    """What there is to run in a page."""

    path: Path
    snippets: list[Snippet]
    #: name: contents
    files: dict[str, str]


def read(path: Path) -> Page:
    """The snippets and files of a page."""
    text = path.read_text(encoding="utf-8")
    page = Page(path, [], {})
    end = -1
    for match in _FENCE.finditer(text):
        kind, body = match.groups()
        first = _FILE.match(body.partition("\n")[0])
        if first and kind in ("c", "cpp", "python"):
            page.files[first[1]] = body
        elif kind == "python":
            page.snippets.append(Snippet(body, text.count("\n", 0, match.start(2)) + 1))
        elif kind == "text" and page.snippets and not text[end : match.start()].strip():
            page.snippets[-1].printed = body
        end = match.end()
    return page


def run(page: Page) -> Iterator[tuple[Snippet, str]]:
    """Runs the snippets in turn; each with what it printed. What they raise passes through."""
    for name, contents in page.files.items():
        Path(name).write_text(contents, encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for snippet in page.snippets:
        # Empty lines before it, so that errors and reports name the line of the page.
        code = compile("\n" * (snippet.line - 1) + snippet.code, str(page.path), "exec")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, namespace)
        yield snippet, printed.getvalue()


def agrees(printed: str, expected: str) -> bool:
    """Whether what was printed is what the page shows, but for what ``…`` stands for."""

    def plain(text: str) -> str:
        return "\n".join(line.rstrip() for line in text.strip().splitlines())

    pattern = ".*?".join(re.escape(part) for part in plain(expected).split("…"))
    return re.fullmatch(pattern, plain(printed), re.DOTALL) is not None


def main(path: Path) -> int:
    page = read(path.resolve())
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for snippet, printed in run(page):
            if snippet.printed is not None and not agrees(printed, snippet.printed):
                place = f"{path}:{snippet.line}"
                print(f"{place} shows\n{snippet.printed}\nand printed\n{printed}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
