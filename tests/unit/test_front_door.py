# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""from_pytorch: arguments, results, side effects, messages."""

from __future__ import annotations

import gc
import logging
import sys
import threading
import weakref

import pytest
import torch
from equality import assert_same, convert_and_compare
from models import Block, Mutating, Tied
from torch import nn

import tessera as ts
from tessera.errors import (
    ArgumentError,
    ArgumentTypeError,
    InputMismatchError,
    NotYetSupportedError,
)


class Structured(nn.Module):
    def forward(self, batch, *rest, scale=2.0, mask=None):
        x = batch["x"][0]
        y = x * scale if mask is None else torch.where(mask, x, 0.0)
        return {"y": (y, [rest[0] + 1, None]), "static": ("text", 7, 2.5, True)}


def test_the_guides_block():
    model, x = Block(32, 4).eval(), torch.randn(2, 8, 32)
    converted = convert_and_compare(model, x)
    assert converted.report.fully_converted
    assert converted.report.mode == "compiled"


def test_structures_in_and_out():
    batch = {"x": [torch.randn(2, 3)]}
    mask = torch.rand(2, 3) > 0.5
    convert_and_compare(Structured(), batch, torch.randn(4), mask=mask)
    convert_and_compare(Structured(), batch, torch.randn(4), scale=3.0)


class SequenceFirst(nn.Module):
    """Projects transposed rows, which the compiler would rather transpose afterwards."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 16)

    def forward(self, x):
        return self.head(x.transpose(0, 1)), x.sin().transpose(0, 1)


def test_results_are_contiguous_where_eager_ones_are():
    model, x = SequenceFirst(), torch.randn(3, 4, 8)
    with torch.no_grad():
        converted = convert_and_compare(model, x)
        logits, view = converted(x)
        assert logits.view(-1, 16).shape == (12, 16)
        # What is a view in eager PyTorch costs no copy.
        assert view.stride() == model(x)[1].stride()


def test_side_effects_and_shared_memory_are_as_in_eager():
    model = Mutating()
    convert_and_compare(model, torch.randn(3, 3))
    converted = ts.from_pytorch(model, (torch.randn(3, 3),))
    x = torch.randn(3, 3)
    result = converted(x)
    assert result["input"] is x
    assert result["buffer"] is model.count
    x.zero_()
    assert result["views"][0].count_nonzero() == 0
    assert result["views"][1].count_nonzero() == 0
    result["fresh"].fill_(5)
    assert bool((result["of_fresh"] == 5).all())


def test_copies_are_fresh_memory():
    class Copies(nn.Module):
        def forward(self, x):
            y = x * 2
            return x.clone(), x + 0, y, y, y.clone()

    x = torch.randn(2, 3)
    converted = convert_and_compare(Copies(), x)
    for _ in range(2):
        a, b, c, d, e = converted(x)
        assert c is d
        assert len({t.data_ptr() for t in (x, a, b, c, e)}) == 5


def test_inputs_returned_are_the_callers_own():
    class Identity(nn.Module):
        def forward(self, x, y):
            return x, {"y": y, "x": x}

    converted = ts.from_pytorch(Identity(), (torch.randn(2), torch.randn(3)))
    x, y = torch.randn(2), torch.randn(3)
    first, second = converted(x, y)
    assert first is x
    assert second["y"] is y
    assert second["x"] is x


def test_tied_parameters_are_one():
    model = Tied()
    converted = convert_and_compare(model, torch.randint(0, 10, (2, 3)))
    assert list(converted.state_dict()) == ["embedding.weight", "head.weight"]
    assert [name for name, _ in converted.named_parameters()] == ["embedding.weight"]


def test_parameters_over_one_memory_are_not_tied():
    """They share it until one is given other data."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Parameter(torch.randn(4))
            self.b = nn.Parameter(self.a.data)

        def forward(self, x):
            return x * self.a + self.b

    model, x = Twice(), torch.randn(2, 4)
    converted = convert_and_compare(model, x)
    model.b.data = torch.randn(4)
    assert_same(converted(x), model(x))
    with torch.no_grad():
        model.a.add_(1)
    assert_same(converted(x), model(x))


def test_parameters_are_shared_with_the_model():
    model, x = nn.Linear(4, 4), torch.randn(2, 4)
    converted = ts.from_pytorch(model, (x,))
    assert next(converted.parameters()) is model.weight
    before = converted(x)
    with torch.no_grad():
        model.weight.mul_(2)
    assert_same(converted(x), model(x))
    assert not torch.equal(before, converted(x))
    model.weight.data = torch.randn(4, 4)
    assert_same(converted(x), model(x))
    model.weight.data.fill_(1)
    converted.refresh()
    assert_same(converted(x), model(x))
    model.weight = nn.Parameter(torch.randn(4, 4))
    converted.refresh()
    assert_same(converted(x), model(x))


def test_torch_in_torch_out_and_tensors_in_tensors_out():
    model, x = Block(32, 4).eval(), torch.randn(2, 8, 32)
    converted = ts.from_pytorch(model, (x,))
    assert type(converted(x)) is torch.Tensor
    given = ts.from_dlpack(torch.utils.dlpack.to_dlpack(x))
    for _ in range(2):
        result = converted(given)
        assert type(result) is ts.Tensor
        back = torch.utils.dlpack.from_dlpack(ts.to_dlpack(result))
        assert_same(back, model(x), atol=1e-5, rtol=1e-5)
    structured = ts.from_pytorch(Structured(), ({"x": [x]}, x))
    assert type(structured({"x": [given]}, given)["y"][0]) is ts.Tensor


def test_forgiving_about_how_an_argument_is_given():
    model, x = Block(32, 4).eval(), torch.randn(2, 8, 32)
    converted = ts.from_pytorch(model, (x,))
    want = converted(x)
    for result in (converted(x, None), converted(x=x), converted(x, attn_mask=None)):
        assert torch.equal(result, want)


@pytest.mark.parametrize("warm", [False, True])
def test_calls_that_do_not_fit(warm):
    model, x = Block(32, 4).eval(), torch.randn(2, 8, 32)
    converted = ts.from_pytorch(model, (x,))
    if warm:
        converted(x)
    with pytest.raises(ValueError, match=r"'x'.*33"):
        converted(torch.randn(2, 8, 33))
    with pytest.raises((ValueError, TypeError), match=r"'x'.*float64"):
        converted(x.double())
    with pytest.raises(InputMismatchError, match=r"compiled for \(x: float32\[2, 8, 32\]\)"):
        converted(x, x)
    with pytest.raises(TypeError, match="'x'"):
        converted()
    with pytest.raises(TypeError, match=r"'x' must be a torch.Tensor"):
        converted(3)
    with pytest.raises(TypeError, match="unexpected"):
        converted(x, nonsense=1)
    with pytest.raises(InputMismatchError, match=r"'x'.*on the CPU, got one on meta"):
        converted(torch.empty(2, 8, 32, device="meta"))
    with pytest.raises(InputMismatchError, match=r"'x'.*dense tensor"):
        converted(torch.zeros(2, 8, 32).to_sparse())
    with pytest.raises(ValueError, match="requires grad"):
        converted(x.clone().requires_grad_())
    with torch.no_grad():
        converted(x.clone().requires_grad_())
    assert_same(converted(x), model(x), atol=1e-5, rtol=1e-5)


def test_values_that_are_no_tensors_are_part_of_the_program():
    converted = ts.from_pytorch(
        Structured(), ({"x": [torch.randn(2)]}, torch.randn(2)), example_kwargs={"scale": 3.0}
    )
    with pytest.raises(InputMismatchError, match=r"'scale'.*value 3.0, got 4.0"):
        converted({"x": [torch.randn(2)]}, torch.randn(2), scale=4.0)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"target": "cuda"}, "target"),
    ],
)
def test_arguments_that_do_not_work_yet_say_so(arguments, name):
    with pytest.raises(NotYetSupportedError, match=rf"{name}.*does not work yet") as caught:
        ts.from_pytorch(nn.ReLU(), (torch.randn(2),), **arguments)
    assert caught.value.remedy


def test_wrong_arguments_of_from_pytorch():
    x = torch.randn(2)
    with pytest.raises(ArgumentTypeError, match=r"torch.nn.Module, not function"):
        ts.from_pytorch(lambda x: x, (x,))
    with pytest.raises(ArgumentTypeError, match=r"example_inputs=\(x,\)"):
        ts.from_pytorch(nn.ReLU(), x)
    with pytest.raises(ArgumentTypeError, match="example_kwargs"):
        ts.from_pytorch(nn.ReLU(), (), example_kwargs=[x])
    with pytest.raises(ArgumentError, match=r"weight.*meta"):
        ts.from_pytorch(nn.Linear(2, 2, device="meta"), (x,))
    with pytest.raises(ArgumentError, match=r"example_inputs\[0\]"):
        ts.from_pytorch(nn.ReLU(), (torch.empty(2, device="meta"),))
    with pytest.raises(ArgumentError, match="threads"):
        ts.from_pytorch(nn.ReLU(), (x,), threads=0)
    with pytest.raises(ArgumentTypeError, match="already"):
        ts.from_pytorch(ts.Module(), (x,))


def test_containers_pytorch_does_not_know():
    class Pair:
        def __init__(self, x):
            self.x, self.me = x, self

    class Taking(nn.Module):
        def forward(self, pair):
            return pair.x + 1

    with pytest.raises(ArgumentTypeError, match="Pair that holds tensors") as caught:
        ts.from_pytorch(Taking(), (Pair(torch.ones(2)),))
    assert "register" in caught.value.remedy


def test_lazy_modules_are_refused_until_they_have_shapes():
    with pytest.raises(ArgumentError, match="'weight' has no shape yet"):
        ts.from_pytorch(nn.LazyLinear(3), (torch.ones(2, 2),))


def test_nothing_in_and_nothing_out():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self):
            return self.weight * 2, self.weight, torch.arange(3), None

    converted = convert_and_compare(Constant())
    assert converted()[1] is converted.weight
    converted()[2].fill_(7)
    assert converted()[2].tolist() == [0, 1, 2]


def test_any_strides_and_lazily_negated_tensors():
    model = nn.Linear(4, 4)
    converted = ts.from_pytorch(model, (torch.randn(3, 4),))
    negated = torch.randn(3, 4, dtype=torch.complex64).conj().imag
    assert negated.is_neg()
    for x in (
        torch.randn(4, 3).t(),
        torch.randn(6, 8)[::2, ::2],
        torch.randn(4).expand(3, 4),
        torch.randn(3, 4).flip(0),
        negated,
    ):
        for _ in range(2):
            assert_same(converted(x), model(x))


def test_converted_modules_are_freed():
    model, x = Block(16, 2).eval(), torch.randn(1, 4, 16)
    converted = ts.from_pytorch(model, (x,))
    converted.attn = ts.compat.wrap(model.attn)
    converted(x)
    references = [weakref.ref(item) for item in (converted, model, model.attn)]
    del converted, model
    gc.collect()
    assert [reference() for reference in references] == [None, None, None]


def test_autocast_and_grad_regions_are_compiled():
    class Regions(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                y = self.linear(x)
            with torch.enable_grad():
                return y * 2

    assert convert_and_compare(Regions(), torch.randn(3, 4)).report.fully_converted


def test_parametrizations_and_weight_norm_are_honoured():
    from torch.nn.utils import parametrizations

    model = nn.Sequential(
        parametrizations.weight_norm(nn.Linear(3, 3)),
        parametrizations.spectral_norm(nn.Linear(3, 3)),
    ).eval()
    convert_and_compare(model, torch.randn(2, 3))


def test_two_threads_may_call_one_module():
    model, x = Block(32, 4).eval(), torch.randn(2, 8, 32)
    converted = ts.from_pytorch(model, (x,))
    inputs = [torch.randn(2, 8, 32) for _ in range(4)]
    wants = [model(item).detach() for item in inputs]
    errors = []

    def work(item, want):
        try:
            for _ in range(20):
                assert_same(converted(item), want, atol=1e-5, rtol=1e-5)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(inputs, wants, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_threads_may_convert_at_once():
    stderr, level = sys.stderr, logging.getLogger("torch.export").level
    results, errors = [], []

    def work(width):
        try:
            model, x = nn.Sequential(nn.Linear(width, width), nn.GELU()), torch.randn(2, width)
            results.append(torch.equal(ts.from_pytorch(model, (x,))(x).isnan(), x.isnan()))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(width,)) for width in (4, 5, 6, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert results == [True] * 4
    assert sys.stderr is stderr
    assert logging.getLogger("torch.export").level == level


def test_arguments_of_any_type_are_part_of_the_program():
    class Converting(nn.Module):
        def forward(self, x, dtype, mode="a"):
            return x.to(dtype) * (2 if mode == "a" else 3)

    converted = convert_and_compare(Converting(), torch.randn(3), torch.float64, mode="b")
    assert converted.report.mode == "compiled"
    with pytest.raises(InputMismatchError, match="'dtype'"):
        converted(torch.randn(3), torch.float32, mode="b")


def test_modules_made_from_graphs():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, a, b, factor: int = 3):
            return self.linear(a) - b * factor

    model, a, b = Scaled(), torch.randn(2, 4), torch.randn(2, 4)
    exported = torch.export.export(model, (a, b, 5)).module()
    for graph, factor in ((torch.fx.symbolic_trace(model), 3), (exported, 5)):
        given = (a, b) if factor == 3 else (a, b, 5)
        tess = ts.from_pytorch(graph, given, strict=True)
        with torch.no_grad():
            assert_same(tess(*given), model(*given))
        assert tess.report.nodes[0].fqn == "linear"
        assert not any("export.py" in row.file for row in tess.report.nodes)
    # In whatever order keywords come, each is its own argument.
    tess = ts.from_pytorch(torch.fx.symbolic_trace(model), (), example_kwargs={"b": b, "a": a})
    with torch.no_grad():
        assert_same(tess(b=b, a=a), model(a, b))
        assert_same(tess(a, b), model(a, b))


def test_examples_that_the_model_itself_does_not_take():
    model = nn.BatchNorm1d(8)
    with pytest.raises(RuntimeError, match="running_mean should contain 3 elements") as caught:
        ts.from_pytorch(model, (torch.randn(2, 3),))
    assert "raised by BatchNorm1d itself" in caught.value.__notes__[-1]
    assert int(model.num_batches_tracked) == 0
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        ts.from_pytorch(nn.Sequential(nn.Linear(8, 8), nn.ReLU()), (torch.randn(2, 3),))
