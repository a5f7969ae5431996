# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The ways a model can be run: from a module and its inputs to a call without arguments.

A peer that is not installed, or that refuses the model, raises; the caller names it in the table.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

Inputs = tuple[torch.Tensor, ...]
Call = Callable[[], Any]


def tessera(model: torch.nn.Module, inputs: Inputs, threads: int) -> Call:
    import tessera as ts

    compiled = ts.from_pytorch(model, example_inputs=inputs, strict=True)
    return lambda: compiled(*inputs)


def eager(model: torch.nn.Module, inputs: Inputs, threads: int) -> Call:
    def call() -> Any:
        with torch.no_grad():
            return model(*inputs)

    return call


def _inductor(model: torch.nn.Module, inputs: Inputs, **options: Any) -> Call:
    import torch._dynamo
    import torch._inductor.config as config

    torch._dynamo.reset()
    with torch.no_grad(), config.patch(freezing=True):
        compiled = torch.compile(model, **options)
        compiled(*inputs)

    def call() -> Any:
        with torch.no_grad():
            return compiled(*inputs)

    return call


def inductor(model: torch.nn.Module, inputs: Inputs, threads: int) -> Call:
    return _inductor(model, inputs)


def max_autotune(model: torch.nn.Module, inputs: Inputs, threads: int) -> Call:
    return _inductor(model, inputs, mode="max-autotune")


def openvino(model: torch.nn.Module, inputs: Inputs, threads: int) -> Call:
    import openvino as ov  # type: ignore[import-untyped]

    with torch.no_grad():
        converted = ov.convert_model(torch.export.export(model, inputs))
    compiled = ov.Core().compile_model(
        converted,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
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


PEERS: dict[str, Callable[[torch.nn.Module, Inputs, int], Call]] = {
    "tessera": tessera,
    "eager": eager,
    "inductor": inductor,
    "max-autotune": max_autotune,
    "openvino": openvino,
    "onnxruntime": onnxruntime,
}
