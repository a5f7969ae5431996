# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Which function lowers which operator.

A *rule* is a function ``lower(node, ctx)`` registered under one or more operator names. Built-in
rules (``lowering/aten/<family>.py``) and the user's (``ts.compat.register_aten``) live in one
table; among the rules that fit an operator the highest priority wins, and among equals the one
registered last, so a user overrides a built-in simply by registering.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import fx

from tessera.errors import RegistrationError

if TYPE_CHECKING:
    from tessera.lowering.context import LoweringContext

#: What a lowering returns: graph values in the structure of the operator's result.
LoweringFn = Callable[[fx.Node, "LoweringContext"], Any]
Validator = Callable[[fx.Node, "LoweringContext"], "bool | str | None"]
F = TypeVar("F", bound=Callable[..., Any])

BUILTIN_PRIORITY = 0
USER_PRIORITY = 100


class Unsupported(Exception):
    """Raised inside a lowering for a case it does not cover.

    The node then stays in PyTorch as an island with this reason (or is listed by the strict
    error). ``code`` is the machine-readable reason code of the report. ``whole`` forbids taking the
    operator apart instead: what it decomposes into would be wrong as well.
    """

    def __init__(
        self,
        reason: str,
        remedy: str = "",
        *,
        code: str = "unsupported-case",
        whole: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.code = code
        self.whole = whole


@dataclass(frozen=True)
class OpKey:
    """An operator's name; ``overload`` is None where any overload is meant."""

    namespace: str
    name: str
    overload: str | None = None

    def __str__(self) -> str:
        base = f"{self.namespace}.{self.name}"
        return base if self.overload is None else f"{base}.{self.overload}"

    @property
    def any_overload(self) -> OpKey:
        return OpKey(self.namespace, self.name)


#: Names people use for operators that PyTorch spells otherwise (before decomposition).
ALIASES = {
    OpKey("aten", "_scaled_dot_product_attention"): OpKey("aten", "scaled_dot_product_attention"),
}

#: Operators that capture keeps whole, by the inner operator they decompose into: a user's rule
#: for the inner one is reached only when the outer one is taken apart first.
OUTER_OPERATORS: dict[OpKey, tuple[OpKey, ...]] = {
    OpKey("aten", "_softmax"): (OpKey("aten", "softmax"),),
    OpKey("aten", "_log_softmax"): (OpKey("aten", "log_softmax"),),
    OpKey("aten", "native_layer_norm"): (OpKey("aten", "layer_norm"),),
    OpKey("aten", "native_group_norm"): (OpKey("aten", "group_norm"),),
    OpKey("aten", "native_dropout"): (OpKey("aten", "dropout"),),
    OpKey("aten", "addmm"): (OpKey("aten", "linear"),),
    OpKey("aten", "convolution"): (
        OpKey("aten", "conv1d"),
        OpKey("aten", "conv2d"),
        OpKey("aten", "conv3d"),
    ),
    OpKey("aten", "_native_batch_norm_legit_no_training"): (OpKey("aten", "batch_norm"),),
    OpKey("aten", "_scaled_dot_product_flash_attention_for_cpu"): (
        OpKey("aten", "scaled_dot_product_attention"),
    ),
}


def _exists(namespace: str, name: str, overload: str | None = None) -> bool:
    if overload is None:
        return bool(torch._C._jit_get_operation(f"{namespace}::{name}")[0])
    qualified = f"{namespace}::{name}" + ("" if overload == "default" else f".{overload}")
    return bool(torch._C._dispatch_has_kernel(qualified)) or (
        _exists(namespace, name)
        and overload in getattr(getattr(torch.ops, namespace), name).overloads()
    )


def parse_op_name(spec: Any) -> OpKey:
    """The operator meant by ``spec``.

    Accepts operator objects (``torch.library.custom_op``'s included) and every usual spelling:
    ``"add"``, ``"add.Tensor"``, ``"aten.add"``, ``"aten.add.Tensor"``, ``"aten::add.Tensor"``,
    ``"torch.ops.aten.add"``, ``"mylib::op"``. A name may be registered before the
    operator itself is defined.
    """
    if isinstance(spec, OpKey):
        return spec
    # What torch.library.custom_op gives, and ts.compat.define_op.
    spec = getattr(spec, "_opoverload", spec)
    if isinstance(spec, torch._ops.OpOverload):
        namespace, name = spec._schema.name.split("::")
        return OpKey(namespace, name, spec._overloadname)
    if isinstance(spec, torch._ops.OpOverloadPacket):
        namespace, name = spec._qualified_op_name.split("::")
        return OpKey(namespace, name)
    if not isinstance(spec, str) or not spec.strip():
        raise RegistrationError(
            f"an operator is named by a string or a torch.ops object, not {spec!r}",
            remedy='write for instance "aten.gelu", "add.Tensor" or torch.ops.mylib.my_op',
        )
    text = spec.strip().removeprefix("torch.ops.")
    key = _parse_text(text, spec)
    alias = ALIASES.get(key.any_overload)
    return key if alias is None else OpKey(alias.namespace, alias.name, key.overload)


def _parse_text(text: str, spec: str) -> OpKey:
    namespace: str | None = None
    if "::" in text:
        namespace, text = text.split("::", 1)
    parts = text.split(".")
    if not all(part.isidentifier() for part in parts) or len(parts) > 3:
        raise RegistrationError(
            f"{spec!r} is not an operator name",
            remedy='the form is [namespace.]name[.overload], for instance "aten.add.Tensor"',
        )
    if namespace is None and len(parts) == 3:
        return OpKey(parts[0], parts[1], parts[2])
    if namespace is None and len(parts) == 2:
        # "add.Tensor" or "mylib.op"? Whatever exists decides; "aten." is always a namespace.
        first, second = parts
        if first != "aten" and _exists("aten", first, second):
            return OpKey("aten", first, second)
        return OpKey(first, second)
    if len(parts) == 3:
        raise RegistrationError(f"{spec!r} names two namespaces")
    return OpKey(namespace or "aten", parts[0], parts[1] if len(parts) == 2 else None)


@dataclass(frozen=True)
class Rule:
    """One registered lowering."""

    key: OpKey
    lower: LoweringFn
    priority: int
    order: int
    builtin: bool
    validate: Validator | None = None
    name: str = field(default="")

    def rank(self) -> tuple[int, int, int]:
        # A rule for exactly this overload beats one for the whole packet at equal priority.
        return (self.priority, int(self.key.overload is not None), self.order)


class Registry:
    """The table of rules. Safe to change while other threads convert."""

    def __init__(self) -> None:
        self._rules: dict[OpKey, list[Rule]] = {}
        self._lock = threading.Lock()
        self._order = 0
        self._user_rules = 0
        self._version = 0

    @property
    def version(self) -> int:
        """How often rules were added or taken back; it never goes down.

        A conversion uses the rules there are while it runs and is not made again when they change.
        Whoever keeps conversions tells by this number whether a new one could turn out different.
        """
        return self._version

    def add(
        self,
        names: tuple[Any, ...],
        lower: LoweringFn,
        *,
        priority: int,
        validate: Validator | None = None,
        builtin: bool = False,
    ) -> None:
        if not names:
            raise RegistrationError("a lowering needs at least one operator name")
        if not callable(lower):
            raise RegistrationError(f"the lowering of {names[0]!r} must be callable, not {lower!r}")
        keys = [parse_op_name(name) for name in names]
        with self._lock:
            for key in keys:
                self._order += 1
                label = f"{getattr(lower, '__module__', '?')}.{getattr(lower, '__qualname__', '?')}"
                rule = Rule(key, lower, priority, self._order, builtin, validate, label)
                rules = list(self._rules.get(key, ()))
                rules.append(rule)
                rules.sort(key=Rule.rank, reverse=True)
                self._rules[key] = rules
            self._user_rules += 0 if builtin else len(keys)
            self._version += 1

    def remove(self, lower: LoweringFn) -> int:
        """Takes back every rule of ``lower``; how many there were."""
        removed = 0
        with self._lock:
            for key, rules in list(self._rules.items()):
                kept = [rule for rule in rules if rule.lower is not lower]
                removed += len(rules) - len(kept)
                self._user_rules -= sum(not rule.builtin for rule in rules if rule not in kept)
                if kept:
                    self._rules[key] = kept
                else:
                    del self._rules[key]
            self._version += 1
        return removed

    def lookup(self, op: Any) -> list[Rule]:
        """The rules that fit ``op`` (an OpOverload or a name), best first."""
        key = parse_op_name(op)
        rules = list(self._rules.get(key, ()))
        if key.overload is not None:
            rules += self._rules.get(key.any_overload, ())
            rules.sort(key=Rule.rank, reverse=True)
        return rules

    def __contains__(self, op: Any) -> bool:
        return bool(self.lookup(op))

    def user_overrides_inside(self, op: Any) -> bool:
        """Whether the user has a rule for an operator that ``op`` would hide by staying whole."""
        users = (
            {
                key.any_overload
                for key, rules in list(self._rules.items())
                if key.any_overload in OUTER_OPERATORS and any(not rule.builtin for rule in rules)
            }
            if self._user_rules
            else set()
        )
        if not users:
            return False
        outer = parse_op_name(op)
        if any(not rule.builtin for rule in self.lookup(outer)):
            return False
        return any(outer.any_overload in OUTER_OPERATORS[inner] for inner in users)

    def __iter__(self) -> Iterator[OpKey]:
        return iter(sorted(self._rules, key=str))


#: The one table conversions read.
registry = Registry()


def register(
    *names: Any, priority: int = BUILTIN_PRIORITY, validate: Validator | None = None
) -> Callable[[F], F]:
    """Registers a built-in lowering: ``@register("add.Tensor", "sub.Tensor")``."""

    def decorate(function: F) -> F:
        registry.add(names, function, priority=priority, validate=validate, builtin=True)
        return function

    return decorate
