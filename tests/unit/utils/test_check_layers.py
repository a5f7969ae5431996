# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""utils/check_layers.py: each rule of the house, once kept and once broken."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "utils" / "check_layers.py"
spec = importlib.util.spec_from_file_location("check_layers", SCRIPT)
assert spec is not None
assert spec.loader is not None
check_layers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_layers)

ALLOWED = [
    ("compiler/graph/ir/GraphOps.cpp", "compiler/support/Errors.h"),
    ("compiler/graph/transforms/Fold.cpp", "compiler/graph/ir/GraphOps.h"),
    ("compiler/graph/ir/GraphOps.cpp", "mlir/IR/Builders.h"),
    ("compiler/conversions/GraphToSchedule/A.cpp", "compiler/graph/ir/GraphOps.h"),
    ("compiler/conversions/GraphToSchedule/A.cpp", "compiler/schedule/ir/ScheduleOps.h"),
    ("compiler/conversions/GraphToSchedule/A.cpp", "compiler/conversions/GraphToSchedule/A.h"),
    ("compiler/conversions/ScheduleToTile/A.cpp", "runtime/abi/Kernel.h"),
    ("compiler/contracts/Graph.cpp", "compiler/tile/ir/TileOps.h"),
    ("compiler/pipeline/Pipeline.cpp", "compiler/conversions/TileToTarget/Passes.h"),
    ("compiler/jit/Jit.cpp", "compiler/pipeline/Pipeline.h"),
    ("compiler/api/Compile.cpp", "compiler/jit/Jit.h"),
    ("compiler/api/Compile.cpp", "runtime/Program.h"),
    ("python/bindings/Graph.cpp", "compiler/api/Compiler.h"),
    ("python/bindings/Graph.cpp", "runtime/Program.h"),
    ("python/bindings/Graph.cpp", "nanobind/nanobind.h"),
    ("python/bindings/TorchLayout.cpp", "torch/version.h"),
    ("runtime/Call.cpp", "runtime/abi/Kernel.h"),
    ("tools/tessera-opt/tessera-opt.cpp", "compiler/graph/ir/GraphOps.h"),
]

FORBIDDEN = [
    ("compiler/graph/ir/GraphOps.cpp", "compiler/schedule/ir/ScheduleOps.h"),
    ("compiler/tile/transforms/A.cpp", "compiler/target/ir/TargetOps.h"),
    ("compiler/support/Errors.cpp", "compiler/graph/ir/GraphOps.h"),
    ("compiler/conversions/GraphToSchedule/A.cpp", "compiler/tile/ir/TileOps.h"),
    ("compiler/conversions/GraphToSchedule/A.cpp", "compiler/conversions/ScheduleToTile/A.h"),
    ("compiler/graph/ir/GraphOps.cpp", "compiler/pipeline/Pipeline.h"),
    ("compiler/pipeline/Pipeline.cpp", "compiler/api/Compiler.h"),
    ("compiler/jit/Jit.cpp", "compiler/tuning/Cache.h"),
    ("compiler/jit/Jit.cpp", "runtime/Program.h"),
    ("compiler/api/Compile.cpp", "torch/torch.h"),
    ("compiler/api/Compile.cpp", "nanobind/nanobind.h"),
    ("compiler/unheardof/A.cpp", "compiler/support/Errors.h"),
    ("runtime/Call.cpp", "compiler/api/Compiler.h"),
    ("runtime/Call.cpp", "llvm/ADT/SmallVector.h"),
    ("runtime/Call.cpp", "Python.h"),
    ("unittests/runtime/CallTest.cpp", "mlir/IR/Builders.h"),
    ("python/bindings/Graph.cpp", "compiler/graph/ir/GraphOps.h"),
    ("python/bindings/Torch.cpp", "c10/core/TensorImpl.h"),
    ("python/bindings/Graph.cpp", "mlir/IR/Builders.h"),
]


@pytest.mark.parametrize(("file", "included"), ALLOWED)
def test_allowed(file: str, included: str) -> None:
    assert check_layers.why_not(Path(file), included) is None


@pytest.mark.parametrize(("file", "included"), FORBIDDEN)
def test_forbidden_with_a_reason(file: str, included: str) -> None:
    assert check_layers.why_not(Path(file), included)


def test_includes_are_named_from_the_root() -> None:
    file = Path("runtime/abi/Other.h")
    assert "runtime/abi/Kernel.h" in check_layers.why_not_rooted(file, "Kernel.h")
    assert check_layers.why_not_rooted(file, "runtime/abi/Kernel.h") is None
    assert check_layers.why_not_rooted(file, "vector") is None


def test_this_checkout_keeps_the_rules() -> None:
    broken = [line for file in check_layers.sources() for line in check_layers.violations(file)]
    assert broken == []
