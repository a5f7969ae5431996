# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The front door: ``from_pytorch``.

The whole road, in order:

1. ``capture/``: the module becomes a functional graph of ATen operators, each with the module path
   and source line it came from (``capture/ladder.py`` has the ways to get there).
2. ``lowering/``: each operator becomes Graph IR by a rule of the registry; what has no rule is
   decomposed by PyTorch, and what has no decomposition stays in PyTorch, in an island.
3. ``_core.compile``: Graph IR → Schedule IR → Tile IR → Target IR → machine code.
4. ``program.py``: arguments in, results out, in the model's own structure.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from tessera.capture.dynamic import DynamicShapes
from tessera.capture.trial import own_error
from tessera.compiled import CompiledModule, Options, example_tree
from tessera.errors import ArgumentError, ArgumentTypeError, NotYetSupportedError
from tessera.module import Module
from tessera.precision import checked_precision
from tessera.threads import check_threads
from tessera.tuning.api import mode_of, tuning


def from_pytorch(
    model: nn.Module,
    example_inputs: Sequence[Any] = (),
    *,
    example_kwargs: Mapping[str, Any] | None = None,
    strict: bool = False,
    threads: int | None = None,
    dynamic_shapes: Any = None,
    capture_backward: bool = False,
    target: str | None = None,
    tune: str | None = None,
    prepack: bool = True,
    precision: str | None = None,
) -> CompiledModule:
    """Converts a PyTorch model, for the shapes and dtypes of the example inputs.

    The result is called like the model: torch tensors in, torch tensors out; ``ts.Tensor`` in,
    ``ts.Tensor`` out. It shares the model's parameters and buffers and mirrors its tree of
    submodules; setting a child replaces that part.

    Nodes that cannot be compiled run in PyTorch (``result.report`` names them, ``result.explain()``
    prints them); with ``strict=True`` they are one ConversionError that lists them all, which is a
    StrictCaptureError where code could not be captured (a Python ``if`` on data, say).
    ``dynamic_shapes`` says which sizes may change from call to call, as in ``torch.export``:
    ``{"x": {0: torch.export.Dim("batch", max=64)}}``. The model is captured once for all sizes in
    range; a size that is met for the first time is laid out then, which takes some milliseconds.
    Sizes outside the range are an InputMismatchError.
    Under ``torch.autocast`` a call computes in the precision PyTorch would; each precision is
    compiled when it is first met, whatever was on around from_pytorch.
    ``precision="bf16"`` computes products, convolutions and attention of float32 on operands
    rounded to bfloat16, with sums, and all else, in float32; arguments and results keep their
    dtypes. None and "fp32" leave the model as it is.
    ``threads`` is how many threads the program uses; by default ``ts.get_num_threads()``, at each
    call: as many as PyTorch, unless set otherwise.
    ``tune`` says where schedules come from: "cached", the default (TESSERA_TUNE sets another), uses
    those that were tuned before and the rules' own for the rest; "quick" searches for those of the
    kernels that matter and are not known, for about half a minute, "full" for some minutes; "off"
    uses the rules' own. See ``ts.tune`` for a table of what was gained.
    ``precision="fp32"`` sums convolutions term by term, where None allows Winograd's algorithm.
    ``prepack=False`` keeps no copy of the weights: calls read the parameters where they are, in
    exchange for packing on the fly, which costs time when there are few rows to multiply.

    Raises ArgumentError, ArgumentTypeError, NotYetSupportedError, CaptureError, ConversionError or
    CompileError.
    """
    mode = mode_of(tune, "from_pytorch")
    _check_target(target)
    _check_model(model)
    args, kwargs = _check_examples(example_inputs, example_kwargs)
    _check_call(model, args, kwargs)
    if threads is not None:
        check_threads("threads", threads)
    dynamic = None
    if dynamic_shapes is not None:
        dynamic = DynamicShapes.of(model.forward, args, kwargs, dynamic_shapes)
    module = CompiledModule(
        model,
        Options(
            strict,
            threads or 0,
            tune="off" if mode == "off" else "cached",
            prepack=_checked_flag("prepack", prepack),
            precision=checked_precision("from_pytorch", precision),
            gradients=_checked_flag("capture_backward", capture_backward),
        ),
        example_tree(args, kwargs),
        dynamic=None if dynamic is None or dynamic.is_static else dynamic,
    )
    module.__dict__["_first"] = (args, kwargs)
    with tuning(mode):
        execution = module._execution()
    if execution.report.mode != "compiled":
        error = own_error(
            model, args, kwargs, gradients=capture_backward and torch.is_grad_enabled()
        )
        if error is not None:
            raise error
    return module


def _checked_flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ArgumentTypeError(f"{name} must be True or False, not {value!r}")
    return value


def _check_target(target: str | None) -> None:
    if target is not None and target != "cpu":
        raise NotYetSupportedError(
            f"from_pytorch: target={target!r} does not work yet",
            remedy='leave it out, or pass target="cpu": this version compiles for the host\'s CPU',
        )


def _named(value: Any) -> str:
    return f"the class {value.__name__}" if inspect.isclass(value) else type(value).__name__


def _to_module(given: Any) -> str:
    """How to make of what was given for a model the model it stands for."""
    if inspect.isclass(given):
        return f"pass an instance: {given.__name__}(…)"
    if isinstance(given, torch.export.ExportedProgram):
        return "pass its module: program.module()"
    if isinstance(given, Mapping):
        return "make the model and give it this state: model.load_state_dict(state)"
    if isinstance(given, (str, os.PathLike)):
        return "load the model first: torch.load(path, weights_only=False)"
    if isinstance(given, functools.partial) and isinstance(given.func, nn.Module):
        return "pass the module, and what is bound with example_inputs and example_kwargs"
    if isinstance(getattr(given, "__self__", None), nn.Module):
        return "pass the module itself, not a method of it"
    return "put a function into the forward() of a small nn.Module, or use ts.jit for ts.ops"


def _check_model(model: Any) -> None:
    if isinstance(model, Module):
        raise ArgumentTypeError(f"from_pytorch: {type(model).__name__} is a Tessera module already")
    if not isinstance(model, nn.Module):
        raise ArgumentTypeError(
            f"from_pytorch takes a torch.nn.Module, not {_named(model)}",
            remedy=_to_module(model),
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise ArgumentTypeError(
            "from_pytorch: a TorchScript module cannot be captured",
            remedy="convert the nn.Module it was made from",
        )
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if isinstance(tensor, (UninitializedParameter, UninitializedBuffer)):
            raise ArgumentError(
                f"from_pytorch: {name!r} has no shape yet, being part of a lazy module",
                remedy="call the model once on an example, then convert it",
            )
        if tensor.device.type != "cpu":
            raise ArgumentError(
                f"from_pytorch: {name!r} is on {tensor.device}; this version runs on the CPU",
                remedy='convert model.to("cpu")'
                if tensor.device.type != "meta"
                else 'give the parameters memory first: model.to_empty(device="cpu")',
            )


def _check_call(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentTypeError(
            f"from_pytorch: {type(model).__name__}.forward{signature} cannot be called with the "
            f"examples: {error}",
            remedy="give example_inputs=(…) and example_kwargs={…} as the model is called",
        ) from error


def _check_examples(
    example_inputs: Any, example_kwargs: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if not isinstance(example_inputs, (tuple, list)):
        raise ArgumentTypeError(
            f"from_pytorch: example_inputs must be a tuple of the positional arguments, not "
            f"{type(example_inputs).__name__}",
            remedy="write example_inputs=(x,)",
        )
    if example_kwargs is not None and not isinstance(example_kwargs, Mapping):
        raise ArgumentTypeError(
            f"from_pytorch: example_kwargs must map names to values, not "
            f"{type(example_kwargs).__name__}"
        )
    args, kwargs = tuple(example_inputs), dict(example_kwargs or {})
    for name, value in [*enumerate(args), *kwargs.items()]:
        device = getattr(value, "device", None)
        if isinstance(value, torch.Tensor) and device is not None and device.type != "cpu":
            label = f"example_inputs[{name}]" if isinstance(name, int) else f"{name!r}"
            raise ArgumentError(
                f"from_pytorch: {label} is on {device}; this version runs on the CPU",
                remedy='pass tensor.to("cpu")',
            )
    return args, kwargs
