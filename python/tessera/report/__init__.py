# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Reports: what runs where, why, and how long it takes."""

from tessera.report.report import CaptureAttempt, IslandRow, KernelRow, NodeRow, Report

__all__ = ["CaptureAttempt", "IslandRow", "KernelRow", "NodeRow", "Report"]
