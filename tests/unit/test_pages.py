# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The pages for users: their snippets run and print what the page shows, their links lead
somewhere, and the public names in them exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import snippets

import tessera as ts

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/guide").glob("*.md"))]
#: Named where the pages say what there is not.
NOT_YET = {"dist", "opt"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_snippets_run(page):
    if not snippets.read(page).snippets:
        pytest.skip("it has no snippets")
    # In a process of its own: pages define operators, and each begins as its reader does.
    done = subprocess.run(
        [sys.executable, snippets.__file__, str(page)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_and_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for public in re.findall(r"`ts\.(\w+(?:\.\w+)*)", text):
        value = ts
        for part in public.split(".") if public not in NOT_YET else ():
            value = getattr(value, part)
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", re.sub(r"(?s)```.*?```", "", text)):
        assert (page.parent / link).exists(), link


def test_what_a_page_shows_is_held_against_what_it_prints(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nprint('one 3.5 two')\n```\n\n```text\none … two\n```\n"
        "```python\nx = 3\n```\n\nThis prints:\n\n```python\nprint(x)\n```\n```text\n4\n```\n"
        "```c\n// mine.c\nint x;\n```\n"
    )
    read = snippets.read(page)
    assert [(item.line, item.printed) for item in read.snippets] == [
        (2, "one … two\n"),
        (9, None),
        (15, "4\n"),
    ]
    assert read.files == {"mine.c": "// mine.c\nint x;\n"}
    done = subprocess.run(
        [sys.executable, snippets.__file__, str(page)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "page.md:15 shows\n4\n\nand printed\n3\n" in done.stderr
