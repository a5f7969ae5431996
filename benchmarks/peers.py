# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The ways a model can be run: from a module and its inputs to a call without arguments.

A peer that is not installed, or that refuses the model, raises; the caller names it in the table.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

Inputs = tuple[torch.Tensor, ...]
Call = Callable[[], Any]
Forward = Callable[[torch.Tensor], Any]


class NotApplicable(Exception):
    """A peer has nothing to say to a model."""


def tessera(
    model: torch.nn.Module, inputs: Inputs, threads: int, precision: str | None = None
) -> Call:
    import tessera as ts

    compiled = ts.from_pytorch(model, example_inputs=inputs, strict=True, precision=precision)
    return lambda: compiled(*inputs)


def eager(model: torch.nn.Module, inputs: Inputs, threads: int) -> Call:
    def call() -> Any:
        with torch.no_grad():
            return model(*inputs)

    return call


def compiled(model: torch.nn.Module, inputs: Inputs, **options: Any) -> Call:
    """torch.compile with the weights frozen into the program."""
    import torch._dynamo
    import torch._inductor.config as config

    torch._dynamo.reset()
    with torch.no_grad(), config.patch(freezing=True):
        program = torch.compile(model, **options)
        program(*inputs)

    def call() -> Any:
        with torch.no_grad():
            return program(*inputs)

    return call


def inductor(model: torch.nn.Module, inputs: Inputs, threads: int) -> Call:
    return compiled(model, inputs)


def max_autotune(model: torch.nn.Module, inputs: Inputs, threads: int) -> Call:
    return compiled(model, inputs, mode="max-autotune")


def _onednn_linear(layer: nn.Linear) -> Forward:
    packed: list[torch.Tensor] = []

    def forward(x: torch.Tensor) -> Any:
        if not packed:
            rows = x.numel() // layer.in_features
            packed.append(torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), rows))
        linear = torch.ops.mkldnn._linear_pointwise.default
        return linear(x, packed[0], layer.bias, "none", [], "")

    return forward


def _onednn_convolution(layer: nn.Conv2d | nn.Conv3d) -> Forward:
    packed: list[torch.Tensor] = []
    window = [layer.padding, layer.stride, layer.dilation, layer.groups]

    def forward(x: torch.Tensor) -> Any:
        if not packed:
            reorder = torch.ops.mkldnn._reorder_convolution_weight
            packed.append(reorder(layer.weight.detach(), *window, list(x.shape)))
        convolution = torch.ops.mkldnn._convolution_pointwise.default
        return convolution(x, packed[0], layer.bias, *window, "none", [], "")

    return forward


def _onednn_layer(layer: nn.Module) -> Forward | None:
    """The layer's forward in oneDNN; a subclass may do anything else in its own."""
    if type(layer) is nn.Linear:
        return _onednn_linear(layer)
    if type(layer) is nn.Conv2d or type(layer) is nn.Conv3d:
        is_plain = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
        return _onednn_convolution(layer) if is_plain else None
    return None


def onednn(model: torch.nn.Module, inputs: Inputs, threads: int) -> Call:
    """Linear layers and convolutions by the oneDNN in torch, the rest as eager runs it.

    Tensors stay dense; weights are kept in the layout that oneDNN asks for at this size, as
    inductor's freezing keeps them: torch.utils.mkldnn would add a copy at each end of a layer.
    """
    ours = copy.deepcopy(model)
    forwards = [(layer, _onednn_layer(layer)) for layer in ours.modules()]
    for layer, forward in forwards:
        if forward is not None:
            layer.forward = forward
    if all(forward is None for _, forward in forwards):
        raise NotApplicable("no linear layer or convolution; torch gives oneDNN no other f32 op")
    return eager(ours, inputs, threads)


def openvino(model: torch.nn.Module, inputs: Inputs, threads: int, precision: str = "f32") -> Call:
    import openvino as ov  # type: ignore[import-untyped]

    with torch.no_grad():
        converted = ov.convert_model(torch.export.export(model, inputs))
    compiled = ov.Core().compile_model(
        converted,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
        },
    )
    request = compiled.create_infer_request()
    arrays = [x.numpy() for x in inputs]
    return lambda: request.infer(arrays, share_inputs=True, share_outputs=True)


def onnxruntime(model: torch.nn.Module, inputs: Inputs, threads: int) -> Call:
    import onnxruntime as ort  # type: ignore[import-untyped]

    with torch.no_grad():
        program = torch.onnx.export(model, inputs, dynamo=True, verbose=False)
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        program.save(path)  # models beyond 2 GB keep their weights beside the file
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = {i.name: x.numpy() for i, x in zip(session.get_inputs(), inputs, strict=True)}
    return lambda: session.run(None, feed)


def rounded(model: torch.nn.Module, inputs: Inputs) -> tuple[torch.nn.Module, Inputs]:
    """The model in bfloat16, with its inputs."""
    given = [x.bfloat16() if x.is_floating_point() else x for x in inputs]
    return copy.deepcopy(model).bfloat16(), tuple(given)


def _in_bf16(peer: Callable[[torch.nn.Module, Inputs, int], Call]) -> Any:
    return lambda model, inputs, threads: peer(*rounded(model, inputs), threads)


def _without_bf16(model: torch.nn.Module, inputs: Inputs, threads: int) -> Call:
    raise NotApplicable("no products of bfloat16 on the CPU")


PEERS: dict[str, Callable[[torch.nn.Module, Inputs, int], Call]] = {
    "tessera": tessera,
    "eager": eager,
    "inductor": inductor,
    "max-autotune": max_autotune,
    "onednn": onednn,
    "openvino": openvino,
    "onnxruntime": onnxruntime,
}

#: The same for cases of float32 that may be computed in bfloat16.
BF16_PEERS: dict[str, Callable[[torch.nn.Module, Inputs, int], Call]] = {
    "tessera": partial(tessera, precision="bf16"),
    "eager": _in_bf16(eager),
    "inductor": _in_bf16(inductor),
    "max-autotune": _in_bf16(max_autotune),
    "onednn": _in_bf16(onednn),
    "openvino": partial(openvino, precision="bf16"),
    "onnxruntime": _without_bf16,
}
