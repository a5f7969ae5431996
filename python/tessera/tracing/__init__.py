# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Python functions over ``ts.ops`` and trees of ``ts.Module`` become programs: ``ts.jit``."""
