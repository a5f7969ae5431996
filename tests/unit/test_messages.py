# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Mistakes a newcomer makes, and what they are told."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

import tessera as ts
from tessera.errors import ArgumentError, ArgumentTypeError, RegistrationError


@pytest.mark.parametrize(
    ("inputs", "kwargs", "told"),
    [
        ((), {}, r"Linear.forward\(.*missing a required argument: 'input'"),
        ((torch.ones(2, 4), 3), {}, "too many positional arguments"),
        ((torch.ones(2, 4),), {"mask": None}, "unexpected keyword argument 'mask'"),
    ],
)
def test_examples_that_do_not_fit_forward(inputs, kwargs, told):
    with pytest.raises(ArgumentTypeError, match=told) as caught:
        ts.from_pytorch(nn.Linear(4, 4), example_inputs=inputs, example_kwargs=kwargs)
    assert "example_inputs=" in str(caught.value)


def test_calls_that_do_not_fit_forward_name_the_module():
    converted = ts.from_pytorch(nn.Linear(4, 4), example_inputs=(torch.ones(2, 4),))
    with pytest.raises(ArgumentTypeError, match=r"^Linear: too many positional arguments"):
        converted(torch.ones(2, 4), 3)


def test_torch_logs_nothing_of_its_own(capfd):
    # Examples of the wrong shape: what fails in capture is Tessera's to report, in one line each,
    # and the model's own complaint is the error.
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        ts.from_pytorch(nn.Linear(4, 4), example_inputs=(torch.ones(4, 2),))
    assert "Traceback" not in capfd.readouterr().err


def test_sparse_tensors_have_no_dlpack():
    with pytest.raises(ArgumentError, match=r"sparse_coo.*\n.*to_dense"):
        ts.from_dlpack(torch.ones(3).to_sparse())


@pytest.mark.parametrize("kind", ["torch.Tensor", "ts.Tensor"])
def test_lowerings_that_return_real_tensors(kind):
    value = torch.ones(3) if kind == "torch.Tensor" else ts.from_dlpack(torch.ones(3))

    def lower(node, ctx):
        return value

    ts.compat.register_aten("aten.relu")(lower)
    try:
        with pytest.raises(RegistrationError, match=f"returned a {kind}.* instead of a graph"):
            ts.from_pytorch(nn.ReLU(), example_inputs=(torch.ones(3),))
    finally:
        ts.compat.unregister(lower)


def test_scripted_children_run():
    model = nn.Sequential(torch.jit.script(nn.Linear(4, 4)), nn.ReLU()).eval()
    x = torch.randn(2, 4)
    converted = ts.from_pytorch(model, example_inputs=(x,))
    torch.testing.assert_close(converted(x), model(x).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (nn.Linear, r"the class Linear\n.*an instance: Linear\(…\)"),
        (functools.partial(nn.Linear(2, 2)), r"not partial\n.*example_kwargs"),
        (nn.Linear(2, 2).forward, r"not method\n.*the module itself"),
        (torch.relu, r"not builtin.*\n.*forward\(\) of a small nn.Module"),
        (nn.Linear(2, 2).state_dict(), r"not OrderedDict\n.*load_state_dict"),
        ("model.pt", r"not str\n.*torch.load"),
        (
            torch.export.export(nn.Linear(2, 2), (torch.ones(2),)),
            r"not ExportedProgram\n.*program.module\(\)",
        ),
    ],
)
def test_what_is_no_model(model, told):
    with pytest.raises(ArgumentTypeError, match=told):
        ts.from_pytorch(model, (torch.ones(2),))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([torch.ones(2)], r"the tensor itself, input\[0\]"),
        ([torch.ones(2)] * 2, r"torch\.stack"),
        ([1.0, 2.0], r"torch\.tensor"),
        (2.0, r"torch\.tensor"),
        (None, r"a call without it"),
    ],
)
def test_what_is_no_tensor(given, told):
    tess = ts.from_pytorch(nn.Linear(2, 2).eval(), (torch.ones(2),))
    with pytest.raises(ArgumentTypeError, match=told):
        tess(given)


def test_calls_under_transforms_of_torch_func():
    model, x = nn.Linear(4, 2).eval(), torch.randn(3, 4)
    tess, wrapped = ts.from_pytorch(model, (x,)), ts.compat.wrap(model)
    tess(x)
    wrapped(x)
    told = r"torch\.vmap or another transform of torch\.func"
    with pytest.raises(ValueError, match=told):
        torch.vmap(tess)(x.expand(5, 3, 4))
    with pytest.raises(ValueError, match=told):
        torch.func.grad(lambda x: tess(x).sum())(x)
    with torch.no_grad():
        torch.testing.assert_close(torch.vmap(wrapped)(x), torch.vmap(model)(x))
