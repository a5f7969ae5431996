# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``ts.compat.register_aten``: lowerings of one's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from tessera.errors import RegistrationError
from tessera.lowering.registry import USER_PRIORITY, LoweringFn, Validator, registry

F = TypeVar("F", bound=Callable[..., Any])


def register_aten(
    *names: Any, priority: int = USER_PRIORITY, validate: Validator | None = None
) -> Callable[[F], F]:
    """Registers ``lower(node, ctx)`` for operators, custom ones or ATen's own.

    ``names`` are spelled as people do: "aten.gelu", "add.Tensor", "mylib::op", an operator object.
    ``lower`` returns what ``ts.ops`` functions give for ``ctx.get_inputs(node)``: all positional
    arguments, tensors as graph values, everything else as it is.

    Of several rules for an operator the one with the highest priority is used; built-in rules have
    priority 0. ``validate(node, ctx)`` may decline a node: False passes it on to the next rule, a
    string is the reason why it stays in PyTorch. Inside ``lower``, ``ts.compat.Unsupported(reason,
    remedy)`` does the same; with ``whole=True`` no other rule is asked and nothing is taken
    apart, so that the operator runs in PyTorch.
    """

    if not isinstance(priority, int) or isinstance(priority, bool):
        raise RegistrationError(
            f"register_aten: priority must be an integer, not {priority!r}",
            remedy=f"leave it out: yours come before built-in rules with {USER_PRIORITY}",
        )
    if validate is not None and not callable(validate):
        raise RegistrationError(
            f"register_aten: validate must be a function validate(node, ctx), not {validate!r}"
        )

    def decorate(function: F) -> F:
        if not callable(function):
            raise RegistrationError(f"register_aten decorates a function, not {function!r}")
        try:
            inspect.signature(function).bind(None, None)
        except TypeError as error:
            raise RegistrationError(
                f"the lowering {getattr(function, '__name__', function)!r} cannot be called as "
                f"lower(node, ctx): {error}"
            ) from error
        except ValueError:
            pass
        registry.add(names, function, priority=priority, validate=validate)
        return function

    if (
        len(names) == 1
        and callable(names[0])
        and not hasattr(names[0], "_schema")
        and (inspect.isfunction(names[0]))
    ):
        raise RegistrationError(
            "register_aten needs the operator's name",
            remedy='write @ts.compat.register_aten("aten.my_op")',
        )
    return decorate


def unregister(function: LoweringFn) -> int:
    """Takes back every registration of a lowering; how many there were."""
    return registry.remove(function)
