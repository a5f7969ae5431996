# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Tessera: a compiler with a PyTorch front door.

import tessera as ts
fast = ts.from_pytorch(model.eval(), example_inputs=(x,))
y = fast(x)
"""

from tessera._versions import check_versions

check_versions()

import tessera.lowering.aten  # noqa: E402 - fills the registry
import tessera.lowering.transformers  # noqa: E402, F401 - and so does this
from tessera import compat, errors, lowering, nn, ops, report  # noqa: E402
from tessera.api import from_pytorch  # noqa: E402
from tessera.errors import TesseraError  # noqa: E402
from tessera.module import Module  # noqa: E402
from tessera.report.report import Report  # noqa: E402
from tessera.tensor import (  # noqa: E402
    Tensor,
    from_dlpack,
    from_numpy,
    from_torch,
    tensor,
    to_dlpack,
)
from tessera.threads import get_num_threads, set_num_threads  # noqa: E402
from tessera.tracing.jit import jit  # noqa: E402
from tessera.tuning.api import tune  # noqa: E402
from tessera.tuning.result import Tuning  # noqa: E402

__version__ = "0.1.0"

__all__ = [
    "Module",
    "Report",
    "Tensor",
    "TesseraError",
    "Tuning",
    "__version__",
    "compat",
    "errors",
    "from_dlpack",
    "from_numpy",
    "from_pytorch",
    "from_torch",
    "get_num_threads",
    "jit",
    "lowering",
    "nn",
    "ops",
    "report",
    "set_num_threads",
    "tensor",
    "to_dlpack",
    "tune",
]
