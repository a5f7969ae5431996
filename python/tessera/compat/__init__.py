# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Living beside PyTorch: wrapped modules and lowerings for operators of one's own."""

from tessera.compat.register import register_aten, unregister
from tessera.compat.wrapped import Wrapped, wrap
from tessera.lowering.registry import Unsupported

__all__ = ["Unsupported", "Wrapped", "register_aten", "unregister", "wrap"]
