# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""python/tessera/_core.pyi says what the extension has: the same names, the same parameters.

mypy's stubtest does not know nanobind's functions, whose signatures are in ``__nb_signature__``.
"""

from __future__ import annotations

import ast
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tessera  # noqa: F401 - completes ts.Tensor
from tessera import _core

STUB = Path(__file__).parents[2] / "python" / "tessera" / "_core.pyi"
TREE = ast.parse(STUB.read_text(encoding="utf-8"))
CLASSES = {node.name: node for node in TREE.body if isinstance(node, ast.ClassDef)}

#: At run time only: machinery of Python and nanobind, and what object has anyway.
MACHINERY = set(dir(object)) | set(dir(types.ModuleType("m"))) | {
    "__dict__",
    "__weakref__",
    "__module__",
    "__file__",
    "__call__",
    "__weaklistoffset__",
    "__vectorcalloffset__",
    "__dlpack_c_exchange_api__",
}  # fmt: skip


def declared(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Names that a stub's body declares; names with one underscore are its own aliases."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node
    return {name: node for name, node in found.items() if is_public(name)}


def is_public(name: str) -> bool:
    return not name.startswith("_") or name.endswith("__")


def names_at_run_time(owner: Any) -> set[str]:
    return {name for name in vars(owner) if is_public(name)} - MACHINERY


def test_the_module_has_what_the_stub_says() -> None:
    assert names_at_run_time(_core) == set(declared(TREE.body))


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"DType"}))
def test_each_class_has_what_the_stub_says(name: str) -> None:
    stub = set(declared(CLASSES[name].body)) - MACHINERY
    assert names_at_run_time(getattr(_core, name)) == stub


def test_the_enum_has_the_stubs_members() -> None:
    members = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in CLASSES["DType"].body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert {member.name: member.value for member in _core.DType} == members


def nanobind_functions() -> Iterator[tuple[str, Any, ast.FunctionDef]]:
    owners: list[tuple[str, Any, list[ast.stmt]]] = [("", _core, TREE.body)]
    owners += [(f"{name}.", getattr(_core, name), node.body) for name, node in CLASSES.items()]
    for prefix, owner, body in owners:
        for name, node in declared(body).items():
            function = vars(owner).get(name)
            if isinstance(node, ast.FunctionDef) and hasattr(function, "__nb_signature__"):
                yield prefix + name, function, node


def parameters(function: ast.FunctionDef) -> list[str]:
    arguments = function.args
    every = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
    return [argument.arg for argument in every if argument.arg != "self"]


@pytest.mark.parametrize(
    ("function", "stub"),
    [pytest.param(function, stub, id=name) for name, function, stub in nanobind_functions()],
)
def test_each_function_has_the_stubs_parameters(function: Any, stub: ast.FunctionDef) -> None:
    (signature, *_), *_ = function.__nb_signature__
    # Defaults are shown as \\0, \\1, …, which is no Python.
    for index in range(9):
        signature = signature.replace(f"\\{index}", "None")
    runtime = ast.parse(signature + ": ...").body[0]
    assert isinstance(runtime, ast.FunctionDef)
    if all(name.startswith("arg") for name in parameters(runtime)):
        assert len(parameters(runtime)) == len(parameters(stub))  # unnamed in C++
    else:
        assert parameters(runtime) == parameters(stub)
