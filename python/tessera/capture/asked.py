# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What a model is told when it asks whether it is being captured.

``torch.compiler.is_exporting()`` and its like let a model take another way under capture than in a
call: one for exporters that know fewer operators, or that shall serve other sizes. What a call
computes is what is wanted, so the answer is no, as in a call; the model is told the truth only
where its way in a call cannot be captured.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch

T = TypeVar("T")

_QUESTIONS = ("is_compiling", "is_exporting")


class Answers:
    """The answers during one capture, and whether anybody asked."""

    def __init__(self) -> None:
        self.asked = False
        #: whether the capture was repeated with the truth
        self.truthful = False

    @contextlib.contextmanager
    def given(self) -> Iterator[None]:
        """While the model's code runs."""
        if self.truthful:
            yield
            return
        truths = {name: getattr(torch.compiler, name) for name in _QUESTIONS}
        try:
            for name, truth in truths.items():
                setattr(torch.compiler, name, self._answering(truth))
            yield
        finally:
            for name, truth in truths.items():
                setattr(torch.compiler, name, truth)

    def _answering(self, truth: Callable[[], bool]) -> Callable[[], bool]:
        def answer() -> bool:
            caller: Any = sys._getframe(1).f_globals.get("__name__", "")
            # torch's own code has to know.
            if caller == "torch" or caller.startswith("torch."):
                return truth()
            self.asked = True
            return False

        # Where dynamo reads the code, in branches of torch.cond say, it is one to call: the truth.
        answer._dynamo_marked_constant = True  # type: ignore[attr-defined]
        return answer

    def or_truthfully(self, capture: Callable[[], T]) -> T:
        """`capture`, again with the truth where it fails and the model asked; the first error where
        both fail, as that is about what a call does."""
        try:
            return capture()
        except Exception as error:
            if not self.asked:
                raise
            self.truthful = True
            with contextlib.suppress(Exception):
                return capture()
            raise error from None
