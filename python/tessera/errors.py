# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What Tessera raises.

Every error is also one of Python's own kinds (ValueError, TypeError or RuntimeError), so callers
that know nothing of Tessera catch it as they would PyTorch's. A message says what was wrong and
with which value; ``remedy`` says what to do about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tessera.report.report import Report


class TesseraError(Exception):
    """Base of everything Tessera raises on purpose."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(f"{message}\n  What to do: {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


class ArgumentError(TesseraError, ValueError):
    """An argument has a value that cannot be used."""


class ArgumentTypeError(TesseraError, TypeError):
    """An argument has the wrong type."""


class InputMismatchError(ArgumentError):
    """A call does not fit the shapes and dtypes the program was compiled for."""


class NotYetSupportedError(TesseraError, NotImplementedError):
    """A documented argument or feature that this version does not have yet."""


class CaptureError(TesseraError, RuntimeError):
    """The model could not be captured as a graph."""


class CompileError(TesseraError, RuntimeError):
    """The captured graph could not be compiled."""


class ConversionError(TesseraError, RuntimeError):
    """Strict conversion met nodes it could not convert; ``report`` lists every one of them."""

    def __init__(self, message: str, *, report: Report, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.report = report


class StrictCaptureError(ConversionError, CaptureError):
    """Strict conversion met code it could not capture; ``report`` lists that, and every node of the
    rest of the model that could not be converted."""


class RegistrationError(TesseraError, ValueError):
    """A lowering was registered, or answered, in a way that cannot work."""


class ReplacementError(TesseraError, ValueError):
    """A submodule was replaced by something that cannot stand in its place."""


class InternalError(TesseraError, RuntimeError):
    """Tessera contradicted itself: a bug, reported instead of a wrong value."""


class CacheWarning(UserWarning):
    """Something on disk cannot be used; what it would have saved is done again."""


class VersionError(TesseraError, ImportError, RuntimeError):
    """PyTorch or Python is outside of the range this version works with."""
