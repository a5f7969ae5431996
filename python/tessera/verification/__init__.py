# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Where a converted model first leaves PyTorch's numbers: ``tess.verify(x)``."""

from tessera.verification.result import ModuleCheck, Verification

__all__ = ["ModuleCheck", "Verification"]
