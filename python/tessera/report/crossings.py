# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What there is to say of a program that leaves compiled code for PyTorch often."""

from __future__ import annotations

from tessera.report.report import IslandRow, Report

#: Islands in one call from which on a warning is due.
OFTEN = 8
#: Kinds of islands a warning names.
MAX_KINDS = 4
#: Islands of a kind a warning names.
MAX_NAMED = 3


def warning_of(report: Report) -> str:
    """The text of the warning; "" where there is no need for one."""
    rows = [row for row in report.islands if not row.native]
    if len(rows) < OFTEN:
        return ""
    kinds: dict[tuple[str, ...], list[IslandRow]] = {}
    for row in rows:
        kinds.setdefault(tuple(row.causes), []).append(row)
    ordered = sorted(kinds.items(), key=lambda item: -len(item[1]))
    lines = [
        f"{report.model} leaves compiled code for PyTorch {len(rows)} times in a call; crossing "
        f"alone takes about {report.crossing_us:.0f} µs of each call:"
    ]
    lines += [_line(ops, islands) for ops, islands in ordered[:MAX_KINDS]]
    if len(ordered) > MAX_KINDS:
        lines.append(f"  and {len(ordered) - MAX_KINDS} kinds more; explain() lists them")
    return "\n".join(lines)


def _line(causes: tuple[str, ...], rows: list[IslandRow]) -> str:
    named = [f"{row.id} in {row.fqn}" if row.fqn else str(row.id) for row in rows[:MAX_NAMED]]
    more = f" and {len(rows) - MAX_NAMED} more" if len(rows) > MAX_NAMED else ""
    islands = f"island{'' if len(rows) == 1 else 's'} {', '.join(named)}{more}"
    remedy = f"; what to do: {rows[0].remedy}" if rows[0].remedy else ""
    return f"  {', '.join(causes)} ({islands}): {rows[0].reason}{remedy}"
