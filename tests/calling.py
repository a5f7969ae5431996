# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Functions of tensors as modules, for tests of any part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

import tessera as ts


class Calling(nn.Module):
    """A module that does nothing but call `function`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *given: Tensor) -> Any:
        return self.function(*given)


def converted(function: Callable[..., Any], *example: Tensor, **options: Any) -> Any:
    """`function`, all of it compiled."""
    return ts.from_pytorch(Calling(function), example_inputs=example, strict=True, **options)
