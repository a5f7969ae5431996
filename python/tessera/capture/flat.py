# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Short ways through pytrees that are hardly trees: what most calls take and give.

Flattening and rebuilding through pytree costs more than a small program takes to run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch.utils import _pytree as pytree

from tessera.capture.trees import opened


def is_flat_call(spec: pytree.TreeSpec) -> bool:
    """Whether an (args, kwargs) has nothing nested inside."""
    return all(child.is_leaf() for part in spec.children() for child in part.children())


def _is_flat(spec: pytree.TreeSpec, kind: type) -> bool:
    return spec.type is kind and all(child.is_leaf() for child in spec.children())


def builder_of(spec: pytree.TreeSpec) -> Callable[[list[Any]], Any]:
    """A function from leaves to the tree."""
    if spec.is_leaf():
        return lambda leaves: leaves[0]
    if _is_flat(spec, tuple):
        return tuple
    if _is_flat(spec, list):
        return list
    return lambda leaves: pytree.tree_unflatten(leaves, spec)


def call_builder_of(spec: pytree.TreeSpec) -> Callable[[list[Any]], tuple[Any, Any]]:
    """A function from leaves to (args, kwargs)."""
    if not is_flat_call(spec):
        return lambda leaves: pytree.tree_unflatten(leaves, spec)
    args, kwargs = spec.children()
    count, names = args.num_children, list(kwargs.context or ())

    def build(leaves: list[Any]) -> tuple[Any, Any]:
        return tuple(leaves[:count]), dict(zip(names, leaves[count:], strict=True))

    return build


def flattener_of(spec: pytree.TreeSpec) -> Callable[[Any], tuple[Sequence[Any], bool]]:
    """A function from a tree to its leaves, and whether it is of the form of `spec`."""
    if not spec.is_leaf() and not _is_flat(spec, tuple):

        def general(tree: Any) -> tuple[Sequence[Any], bool]:
            leaves, found = pytree.tree_flatten(tree)
            if found != spec:
                leaves, found = pytree.tree_flatten(opened(tree))
            return leaves, found == spec

        return general
    leaf, count = spec.is_leaf(), spec.num_children

    def flatten(tree: Any) -> tuple[Sequence[Any], bool]:
        if leaf and type(tree) in pytree.SUPPORTED_NODES:
            return pytree.tree_leaves(tree), False
        if leaf:
            return (tree,), True
        flat = type(tree) is tuple and len(tree) == count
        if flat and not any(type(item) in pytree.SUPPORTED_NODES for item in tree):
            return tree, True
        return pytree.tree_leaves(tree), False

    return flatten
