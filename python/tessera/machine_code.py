# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Machine code for an imported graph, bound to the parameters and islands it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tessera import _core
from tessera.errors import CompileError
from tessera.lowering.complexes.boundary import ComplexExecutable, ComplexParameter
from tessera.lowering.importer import Imported
from tessera.random_keys import with_keys
from tessera.report.report import Report
from tessera.tuning.compiled import compile_tuned


@dataclass(frozen=True)
class Code:
    """What runs a graph."""

    compiled: Any
    executable: Any
    #: the parameters it reads, in order
    parameters: list[torch.Tensor]


def bind(
    name: str,
    compiled: Any,
    imported: Imported,
    parameters: Sequence[torch.Tensor],
    threads: int,
    family: Any = None,
) -> Any:
    """What runs compiled code on `parameters`: takes and gives tensors as the graph's nodes do."""
    crossing = [
        ComplexParameter(tensor) if tensor.dtype.is_complex else tensor for tensor in parameters
    ]
    complexes = [item for item in crossing if isinstance(item, ComplexParameter)]
    executable = with_keys(
        _core.Executable(
            compiled,
            [item.view if isinstance(item, ComplexParameter) else item for item in crossing],
            imported.islands,
            name,
            threads,
            family,
        ),
        imported.random_keys,
    )
    if not imported.complex_inputs and not imported.complex_outputs and not complexes:
        return executable
    return ComplexExecutable(
        executable,
        imported.complex_inputs,
        imported.complex_outputs,
        len(imported.outputs),
        complexes,
    )


def make_code(
    name: str, imported: Imported, threads: int, report: Report, family: Any = None
) -> Code:
    """Compiles a graph and binds it to the parameters and islands it needs."""
    try:
        compiled = compile_tuned(imported.graph, threads, report, family)
    except RuntimeError as error:
        raise CompileError(
            f"{name}: {error}",
            remedy="convert the submodules one by one to find the part, "
            "or keep it in PyTorch with ts.compat.wrap",
        ) from error
    # The compiler may have dropped parameters that nothing depends on in the end.
    parameters = [imported.parameters[item] for item in compiled.parameter_names]
    executable = bind(name, compiled, imported, parameters, threads, family)
    return Code(compiled, executable, parameters)
