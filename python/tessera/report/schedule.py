# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``explain(level="schedule")``: what was fused into which kernel, what was not and why, and how
each kernel runs."""

from __future__ import annotations

import time

from tessera.report.report import KernelRow, Report
from tessera.tuning.stored import provenance


def render_schedule(report: Report) -> str:
    """A paragraph a distinct kernel, in the order of a call; equal kernels are one."""
    lines = [report.summary()]
    for number, (row, count) in enumerate(_distinct(report.kernels), 1):
        lines += _paragraph(number, row, count)
    if not report.kernels:
        lines.append("  no kernels: nothing of its own was compiled")
    for path, child in report.children.items():
        lines += [f"  {path}: {line}" for line in render_schedule(child).splitlines()]
    return "\n".join(lines)


def _distinct(rows: list[KernelRow]) -> list[tuple[KernelRow, int]]:
    first: dict[str, KernelRow] = {}
    counts: dict[str, int] = {}
    for row in rows:
        first.setdefault(row.name, row)
        counts[row.name] = counts.get(row.name, 0) + 1
    return [(row, counts[name]) for name, row in first.items()]


def _paragraph(number: int, row: KernelRow, count: int) -> list[str]:
    where = ", ".join(row.fqns) or "(root)"
    times = f", {count} times" if count > 1 else ""
    lines = [f"{number}. {row.kind} of {where}{times}"]
    if row.fused:
        lines.append(f"   fused: {_counted(row.fused)}")
    lines += [f"   apart from {reason}" for reason in row.apart]
    if row.native is not None:
        lines.append("   a kernel of the user's own: it has no schedule")
        return lines
    intensity = f", {row.flops / row.bytes:.1f} a byte" if row.bytes else ""
    lines.append(f"   predicted: {row.flops / 1e6:.3f} MFLOP, {row.bytes / 1e6:.3f} MB{intensity}")
    if row.schedule:
        lines.append(f"   point: {row.schedule}")
        lines.append(f"   {_origin(row)}")
    return lines


def _counted(ops: list[str]) -> str:
    """Op names in order, runs of the same one as "add x3"."""
    parts: list[list[str]] = []
    for op in ops:
        if parts and parts[-1][0] == op:
            parts[-1].append(op)
        else:
            parts.append([op])
    return ", ".join(part[0] + (f" x{len(part)}" if len(part) > 1 else "") for part in parts)


def _origin(row: KernelRow) -> str:
    """Where the point came from."""
    if not row.standard:
        return "chosen by the rules (default)"
    entry, is_new = provenance(row.tuned)
    text = f"in place of the rules' {row.standard}"
    if entry is None:
        return f"tuned before, {text}"
    gain = f"{entry.default_us / entry.best_us:.2f}x" if entry.best_us else ""
    when = time.strftime("%Y-%m-%d", time.localtime(entry.created))
    how = "tuned in this process" if is_new else f"cached: tuned on {when}"
    return f"{how} ({entry.effort}), {gain} faster, {text}"
