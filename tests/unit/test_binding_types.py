# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""What the extension says of arguments it cannot use, and of texts that lack their data."""

from __future__ import annotations

import struct

import pytest
import torch

from tessera import _core


def plain():
    builder = _core.GraphBuilder()
    x = builder.input("x", "float32", [2])
    return _core.compile(builder.finish([builder.create("exp", [x])[0]]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            lambda p: {"compiled": "x"},
            r"'compiled' must be what _core.compile\(\) returns, got 'x'",
        ),
        (lambda p: {"compiled": None}, r"'compiled' must be .*, got None \(NoneType\)"),
        (lambda p: {"parameters": 3}, r"'parameters' must be a sequence of tensors, got 3 \(int\)"),
        (lambda p: {"islands": [1]}, r"'islands' must be a dict .*, got \[1\] \(list\)"),
        (lambda p: {"islands": {"a": list}}, r"'islands' must be a dict with integer keys"),
        (lambda p: {"islands": {7: "f"}}, r"'islands\[7\]' must be callable, got 'f' \(str\)"),
        (lambda p: {"name": 5}, r"'name' must be a string, got 5 \(int\)"),
        (lambda p: {"threads": "2"}, r"'threads' must be an integer, got '2' \(str\)"),
        (lambda p: {"threads": 1 << 40}, r"'threads' must be an integer"),
        (lambda p: {"name": "n" * 500}, None),
    ],
)
def test_wrong_types_are_named(arguments, message):
    given = {"compiled": plain(), **arguments(None)}
    if message is None:
        _core.Executable(**given)
        return
    with pytest.raises(TypeError, match="Executable: argument " + message):
        _core.Executable(**given)


@pytest.mark.parametrize("entries", [3, [3], [({}, "key")], [([], "key", 1)], [({}, None, "two")]])
def test_what_cannot_be_watched(entries):
    executable = _core.Executable(plain())
    with pytest.raises(TypeError, match="watch: argument 'entries' must be"):
        executable.watch(entries)
    assert not executable.outdated


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda b, x: b.input("y", "float32", "ab"), "shape"),
        (lambda b, x: b.input("y", "float32", 3), "shape"),
        (lambda b, x: b.create("exp", 3), "operands"),
        (lambda b, x: b.create("exp", ["x"]), "operands"),
        (lambda b, x: b.create("exp", [x], {3: 1}), "attrs"),
        (lambda b, x: b.create("exp", [x], {}, "here"), "loc"),
        (lambda b, x: b.create("exp", [x], {}, ("a", "b", "c")), "loc"),
        (lambda b, x: b.island(1, "why", [x], [3]), "results"),
        (lambda b, x: b.finish([x], ["yes"]), "contiguous"),
    ],
)
def test_the_builder_names_wrong_types(call, name):
    builder = _core.GraphBuilder()
    x = builder.input("x", "float32", [2])
    with pytest.raises(TypeError, match=f"GraphBuilder: argument '{name}' must be"):
        call(builder, x)


# --- constants whose bytes are elsewhere in the text -------------------------------------------

TEXT = """func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c = graph.constant dense_resource<table> : tensor<4xf32>
  %r = graph.add %x, %c : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %r : tensor<4xf32>
}
"""


def resources(*numbers):
    """The section of a text that holds the bytes of `table`, after its alignment."""
    data = struct.pack("<I", 8) + struct.pack(f"<{len(numbers)}f", *numbers)
    return f'{{-# dialect_resources: {{ builtin: {{ table: "0x{data.hex()}" }} }} #-}}'


def test_a_constant_with_its_bytes():
    module = _core.GraphModule.parse(TEXT + resources(1, 2, 3, 4))
    x = torch.ones(4)
    assert _core.Executable(_core.compile(module))(x).tolist() == [2.0, 3.0, 4.0, 5.0]
    again = _core.GraphModule.parse(str(module))
    assert _core.Executable(_core.compile(again))(x).tolist() == [2.0, 3.0, 4.0, 5.0]


def test_a_boolean_constant_with_its_bytes():
    text = """func.func @main(%x: tensor<3xi1>) -> tensor<3xi1> {
      %c = graph.constant dense_resource<flags> : tensor<3xi1>
      %r = graph.bitwise_and %x, %c : (tensor<3xi1>, tensor<3xi1>) -> tensor<3xi1>
      return %r : tensor<3xi1>
    }
    {-# dialect_resources: { builtin: { flags: "0x01000000010001" } } #-}"""
    executable = _core.Executable(_core.compile(_core.GraphModule.parse(text)))
    assert executable(torch.tensor([True, True, False])).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("", r"dense_resource<table> has no data in this text.*takes 16(.|\n)*without eliding"),
        (resources(1, 2, 3), "dense_resource<table> has 12 bytes, but .tensor<4xf32>. takes 16"),
        (resources(*range(9)), "dense_resource<table> has 36 bytes, but .tensor<4xf32>. takes 16"),
    ],
)
def test_a_constant_without_its_bytes(section, message):
    with pytest.raises(ValueError, match=r"graph:2: \[constant\] " + message):
        _core.GraphModule.parse(TEXT + section)


def test_a_constant_of_another_kind():
    text = TEXT.replace("dense_resource<table>", "sparse<[[0]], [1.0]>")
    with pytest.raises(ValueError, match=r"`value` must be dense<…> or dense_resource<…>"):
        _core.GraphModule.parse(text)
