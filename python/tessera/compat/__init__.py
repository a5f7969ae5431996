# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Living beside PyTorch: wrapped modules, a backend of torch.compile, lowerings of one's own."""

from tessera.compat.define import DefinedOp, define_op
from tessera.compat.dynamo import compile_graph, compiled_graphs, register_backend
from tessera.compat.native import get_include
from tessera.compat.register import register_aten, unregister
from tessera.compat.wrapped import Wrapped, wrap
from tessera.lowering.registry import Unsupported

register_backend()

__all__ = [
    "DefinedOp",
    "Unsupported",
    "Wrapped",
    "compile_graph",
    "compiled_graphs",
    "define_op",
    "get_include",
    "register_aten",
    "unregister",
    "wrap",
]
