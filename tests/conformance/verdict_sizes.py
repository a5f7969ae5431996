# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""One conversion with dynamic shapes, called at many sizes, each held against PyTorch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from op_samples import Sample
from sizes import dynamic_dims, in_range, other_sizes
from verdict import ERROR, PASS, REFUSED, SKIPPED, WRONG, Mismatch, Verdict, Wanted, line_of, why

import tessera as ts
from tessera.errors import ArgumentError, CaptureError, ConversionError

#: Other samples of PyTorch's that a program made for one is called with.
MAX_OTHERS = 3


def judge_sizes(family: Sequence[Sample]) -> Verdict:
    """What becomes of samples that differ in sizes only, by a program made for the first.

    The worst of its sizes counts. Where PyTorch does not take a size nothing is asked.
    """
    example = family[0]
    if not any(dynamic_dims(example)["tensors"]):
        return Verdict(SKIPPED, "no sizes to change")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            Wanted(example)
        except Exception as error:
            return Verdict(SKIPPED, f"PyTorch: {line_of(error)}")
        try:
            converted = ts.from_pytorch(
                example.module,
                example_inputs=example.args,
                dynamic_shapes=dynamic_dims(example),
                strict=True,
            )
            converted.__dict__["_original"] = example.module
        except (ConversionError, CaptureError, ArgumentError) as error:
            return Verdict(REFUSED, why(error))
        except Exception as error:
            return Verdict(ERROR, f"{type(error).__name__}: {line_of(error)}")
        others = [sample for sample in family[1:] if in_range(sample, example)]
        calls = [example, *other_sizes(example), *others[:MAX_OTHERS]]
        found = [_judge_call(converted, call) for call in calls]
    for status in (WRONG, ERROR, REFUSED):
        for verdict, call in zip(found, calls, strict=True):
            if verdict.status == status:
                return Verdict(status, f"at {call.label}: {verdict.reason}")
    return Verdict(PASS, f"{sum(verdict.status == PASS for verdict in found)} sizes")


def _judge_call(converted: torch.nn.Module, call: Sample) -> Verdict:
    try:
        wanted = Wanted(call)
    except Exception as error:
        return Verdict(SKIPPED, f"PyTorch: {line_of(error)}")
    try:
        wanted.compare(converted, call)
    except Mismatch as error:
        return Verdict(WRONG, line_of(error))
    except (ConversionError, CaptureError, ArgumentError) as error:
        return Verdict(REFUSED, why(error))
    except Exception as error:
        return Verdict(ERROR, f"{type(error).__name__}: {line_of(error)}")
    return Verdict(PASS)
