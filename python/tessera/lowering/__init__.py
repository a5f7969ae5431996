# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""From captured ATen nodes to Graph IR: the registry, its context and the importer."""

from tessera.lowering.context import GraphValue, LoweringContext
from tessera.lowering.registry import Unsupported, register, registry

__all__ = ["GraphValue", "LoweringContext", "Unsupported", "register", "registry"]
