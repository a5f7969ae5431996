# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""``capture_backward=True``: gradients beside PyTorch's, in float64, and in a PyTorch loop."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree
from torch.utils.checkpoint import checkpoint

import tessera as ts
from tessera.errors import CaptureError
from tessera.report.report import Report


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(12, 40), nn.Linear(40, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(F.gelu(self.up(x)))


class Block(nn.Module):
    def __init__(self, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ffn = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.ln1(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        return x + self.ffn(self.ln2(x))


class Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8, stride=2)
        self.pool, self.head = nn.MaxPool2d(2), nn.Linear(8 * 9, 5)

    def forward(self, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        h = F.silu(self.depthwise(F.relu(self.norm(self.conv(x)))))
        return F.cross_entropy(self.head(self.pool(h).flatten(1)), target)


class Words(nn.Module):
    """Tied weights, a structure of results, a buffer and a result that takes no part."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 16)
        self.norm = nn.RMSNorm(16)
        self.head = nn.Linear(16, 11, bias=False)
        self.head.weight = self.words.weight
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, tokens: torch.Tensor, *, scale: float) -> dict[str, Any]:
        self.calls += 1
        h = self.norm(self.words(tokens)) * scale
        logits = self.head(h)
        return {"logits": logits, "best": logits.argmax(-1), "pair": (h.mean(1), h[:, 0])}


def gradients(
    model: nn.Module, result: Any, tangents: list[torch.Tensor], args: Any
) -> list[torch.Tensor | None]:
    outputs = [
        leaf for leaf in pytree.tree_leaves(result)
        if isinstance(leaf, torch.Tensor) and leaf.requires_grad
    ]  # fmt: skip
    torch.autograd.backward(
        outputs, [g.to(y.dtype) for y, g in zip(outputs, tangents, strict=True)]
    )
    inputs = [leaf for leaf in pytree.tree_leaves(args) if isinstance(leaf, torch.Tensor)]
    return [item.grad for item in [*model.parameters(), *inputs]]


def doubled(tree: Any) -> Any:
    def double(item: torch.Tensor) -> torch.Tensor:
        wide = item.detach().double() if item.is_floating_point() else item
        return wide.requires_grad_(item.requires_grad)

    return pytree.tree_map_only(torch.Tensor, double, tree)


def compare(model: nn.Module, *args: Any, steps: int = 2, **kwargs: Any) -> ts.CompiledModule:
    """Converts, and holds results, gradients and buffers of some calls against float64."""
    reference = copy.deepcopy(model).double()
    converted = ts.from_pytorch(model, args, example_kwargs=kwargs, capture_backward=True)
    for _ in range(steps):
        model.zero_grad()
        reference.zero_grad()
        ours = pytree.tree_map_only(
            torch.Tensor, lambda x: x.detach().clone().requires_grad_(x.requires_grad), args
        )
        theirs = doubled(args)
        got, want = converted(*ours, **kwargs), reference(*theirs, **kwargs)
        leaves = [leaf for leaf in pytree.tree_leaves(want) if leaf.requires_grad]
        tangents = [torch.randn_like(leaf) for leaf in leaves]
        for left, right in zip(
            gradients(model, got, tangents, ours),
            gradients(reference, want, tangents, theirs),
            strict=True,
        ):
            assert (left is None) == (right is None)
            if left is not None:
                scale = right.abs().max().item()
                torch.testing.assert_close(left.double(), right, rtol=1e-4, atol=2e-6 * (1 + scale))
        for left, right in zip(pytree.tree_leaves(got), pytree.tree_leaves(want), strict=True):
            torch.testing.assert_close(
                left.detach(), right.detach().to(left.dtype), rtol=1e-4, atol=1e-5
            )
            assert left.requires_grad == right.requires_grad
        for left, right in zip(model.buffers(), reference.buffers(), strict=True):
            torch.testing.assert_close(left, right.to(left.dtype))
    return converted


@pytest.mark.parametrize("inputs", [False, True], ids=["parameters", "inputs too"])
@pytest.mark.parametrize("shape", [(1, 12), (5, 12), (2, 3, 12)], ids=str)
def test_mlp(shape, inputs):
    torch.manual_seed(0)
    converted = compare(Mlp(), torch.randn(shape, requires_grad=inputs))
    assert converted.report.mode == "compiled"
    assert not converted.report.islands


def test_block():
    torch.manual_seed(0)
    converted = compare(Block(), torch.randn(2, 9, 32, requires_grad=True))
    assert not converted.report.islands


def test_convolutions_and_statistics():
    torch.manual_seed(0)
    converted = compare(Cnn().train(), torch.randn(4, 3, 16, 16), torch.tensor([0, 4, 2, 2]))
    assert not converted.report.islands


def test_tied_weights_buffers_and_structures():
    torch.manual_seed(0)
    compare(Words(), torch.tensor([[1, 3, 3, 0], [10, 0, 2, 1]]), scale=0.5)


def test_state_that_is_written_and_takes_part():
    class Counting(Mlp):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            return self.down(self.up(x) * self.calls)

    torch.manual_seed(0)
    compare(Counting(), torch.randn(3, 12), steps=3)


def test_results_that_share_memory_with_arguments_and_one_another():
    class Shares(Mlp):
        def forward(self, x):
            h = self.up(x)
            return h, h.t(), x, x.t(), x[1:], self.up.weight

    torch.manual_seed(0)
    compare(Shares(), torch.randn(3, 12, requires_grad=True))


class Partly(Mlp):
    """Parts of forward() that autograd does not see, or sees otherwise."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("mean", torch.zeros(40))

    def forward(self, x):
        return getattr(self, self.body)(self.up(x), x)

    def no_grad(self, h, x):
        with torch.no_grad():
            gate = self.up(x)
        return h * gate

    def no_grad_and_in_place(self, h, x):
        with torch.no_grad():
            gate = self.up(x)
            gate[:, 0] = 3
            self.mean.mul_(0.9).add_(h.mean(0), alpha=0.1)
        return h * gate - self.mean

    def detach(self, h, x):
        return self.down(h) * h.detach().sum() + h.data.mean()

    def checkpoint(self, h, x):
        return checkpoint(lambda v: F.gelu(self.up(v)), x, use_reentrant=False)

    def in_place(self, h, x):
        other = h.clone()
        other *= 2
        other[:, 3] = 1
        copy = h.detach().clone()
        copy.add_(1)
        return self.down(other) * copy.sum()

    def detached_in_place(self, h, x):
        other = h.detach()
        other *= 2
        return self.down(h)

    def data_in_place(self, h, x):
        h.view(-1).data.clamp_(-0.1, 0.1)
        return self.down(h)

    def no_grad_in_place(self, h, x):
        with torch.no_grad():
            h[:, :20] = 0
        return self.down(h)


@pytest.mark.parametrize("body", ["no_grad", "detach", "checkpoint", "in_place"])
def test_what_autograd_does_not_see(body):
    torch.manual_seed(0)
    converted = compare(Partly(body), torch.randn(3, 12, requires_grad=True))
    assert converted.report.mode == "compiled"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("detached_in_place", "through detach() or .data"),
        ("data_in_place", "through detach() or .data"),
        ("no_grad_in_place", "under no_grad(), and changes"),
        ("no_grad_and_in_place", "under no_grad(), and changes"),
    ],
)
def test_values_changed_behind_autograds_back_keep_their_derivative(body, reason):
    torch.manual_seed(0)
    converted = compare(Partly(body), torch.randn(3, 12, requires_grad=True))
    assert converted.report.mode == "hybrid"
    assert reason in converted.report.capture[0].message


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, gradient):
        return 3 * gradient


class RoundedMlp(Mlp):
    def forward(self, x):
        return self.down(Rounded.apply(4 * self.up(x)))


class HookedMlp(Mlp):
    def forward(self, x):
        h = self.up(x)
        h.register_hook(lambda gradient: 5 * gradient)
        return self.down(h)


class ReentrantMlp(Mlp):
    def forward(self, x):
        return self.down(checkpoint(self.up, x, use_reentrant=True))


class BranchingMlp(Mlp):
    def forward(self, x):
        return self.down(self.up(x) * (2 if x.sum() > 0 else 3))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (RoundedMlp, "forward() calls Rounded, a torch.autograd.Function"),
        (HookedMlp, "hooks the gradient of a tensor"),
        (ReentrantMlp, "CheckpointFunction"),
        (BranchingMlp, "data-dependent"),
    ],
)
def test_derivatives_that_operators_do_not_say_stay_pytorchs(model, reason):
    torch.manual_seed(0)
    converted = compare(model(), torch.randn(3, 12, requires_grad=True))
    assert converted.report.mode == "hybrid"
    assert any(reason in attempt.message for attempt in converted.report.capture)
    assert converted.up.report.mode == "compiled"


def test_backward_hooks_of_a_child_run():
    model, seen = Mlp(), []
    model.up.register_full_backward_hook(lambda module, given, got: seen.append(got[0].shape))
    compare(model, torch.randn(3, 12, requires_grad=True), steps=1)
    assert seen == [torch.Size([3, 40])] * 2  # once in PyTorch's own model, once in ours


def test_hooks_of_parameters_run():
    model, x = Mlp(), torch.randn(3, 12)
    converted = ts.from_pytorch(model, (x,), capture_backward=True)
    model.up.weight.register_hook(lambda gradient: gradient * 0 + 7)
    converted(x).sum().backward()
    assert (model.up.weight.grad == 7).all()


def test_what_is_frozen_gets_no_gradient_until_it_is_thawed():
    torch.manual_seed(0)
    model, x = Mlp(), torch.randn(3, 12)
    model.up.requires_grad_(False)
    converted = ts.from_pytorch(model, (x,), capture_backward=True)
    converted(x).sum().backward()
    assert model.up.weight.grad is None
    assert model.down.weight.grad is not None
    model.up.requires_grad_(True)
    compare(model, x)
    converted(x).sum().backward()
    assert model.up.weight.grad is not None
    model.requires_grad_(False)
    assert not converted(x).requires_grad
    leaf = x.clone().requires_grad_()
    converted(leaf).sum().backward()
    assert leaf.grad.shape == x.shape


def test_without_recording_there_is_no_backward_program():
    model, x = Mlp(), torch.randn(3, 12, requires_grad=True)
    converted = ts.from_pytorch(model, (x,), capture_backward=True)
    assert converted(x).requires_grad
    with torch.no_grad():
        assert not converted(x).requires_grad
    assert converted(x).requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(converted(x), model(x))


def test_several_calls_before_their_backward_passes():
    torch.manual_seed(0)
    model = Mlp()
    xs = [torch.randn(3, 12) for _ in range(3)]
    reference = copy.deepcopy(model)
    converted = ts.from_pytorch(model, (xs[0],), capture_backward=True)
    sum(converted(x).square().sum() for x in xs).backward()
    sum(reference(x).square().sum() for x in xs).backward()
    for left, right in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(left.grad, right.grad, rtol=1e-4, atol=1e-4)


def test_misuse_is_pytorchs_error():
    model, x = Mlp(), torch.randn(3, 12)
    converted = ts.from_pytorch(model, (x,), capture_backward=True)
    loss = converted(x).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()
    loss = converted(x).sum()
    with torch.no_grad():
        model.down.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    model.zero_grad()
    loss = converted(x).sum()
    loss.backward(retain_graph=True)
    once = model.up.weight.grad.clone()
    loss.backward()
    torch.testing.assert_close(model.up.weight.grad, 2 * once)
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar"):
        converted(x).backward()
    leaf = x.clone().requires_grad_()
    converted(leaf).sum().backward()


def test_writes_that_pytorch_does_not_count_are_seen():
    model, x = nn.Linear(4, 4).double(), torch.randn(2, 4, dtype=torch.float64)
    converted = ts.from_pytorch(model, (x,), capture_backward=True)
    # Perturbs the arguments through .data.
    assert torch.autograd.gradcheck(lambda weight: converted(x), (model.weight,))
    assert torch.autograd.gradcheck(converted, (x.requires_grad_(),))


def test_tuned_programs_still_have_gradients():
    torch.manual_seed(0)
    model, x = Mlp(), torch.randn(64, 12)
    converted = ts.from_pytorch(model, (x,), capture_backward=True)
    program = converted._execution().program
    again = program.recompiled(Report(model="Mlp"))
    assert again is not program
    again((x,), {}).sum().backward()
    ours = [item.grad.clone() for item in model.parameters()]
    model.zero_grad()
    model(x).sum().backward()
    for left, right in zip(ours, model.parameters(), strict=True):
        torch.testing.assert_close(left, right.grad, rtol=1e-4, atol=1e-4)


def test_nan_flows_as_in_pytorch():
    model, x = Mlp(), torch.randn(3, 12)
    converted = ts.from_pytorch(model, (x,), capture_backward=True)
    y = converted(x)
    y.backward(torch.full_like(y, torch.nan))
    assert all(item.grad.isnan().all() for item in model.parameters())


def test_dropout_draws_alike_forward_and_backward():
    class Dropping(nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.5, training=True) * 3

    x = torch.ones(4096, requires_grad=True)
    converted = ts.from_pytorch(Dropping(), (x,), capture_backward=True)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        x.grad = None
        y = converted(x)
        y.sum().backward()
        torch.testing.assert_close(x.grad, y.detach())
        assert 0.45 < (y == 0).float().mean().item() < 0.55
        results.append(y.detach())
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@torch.library.custom_op("tessera_tests::cubed", mutates_args=())
def cubed(x: torch.Tensor) -> torch.Tensor:
    return x**3


@cubed.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


@torch.library.custom_op("tessera_tests::cubed_backward", mutates_args=())
def cubed_backward(gradient: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return 3 * gradient * x**2


@cubed_backward.register_fake
def _(gradient: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


cubed.register_autograd(
    lambda ctx, gradient: cubed_backward(gradient, *ctx.saved_tensors),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0]),
)


def test_gradients_flow_through_islands():
    class Cubing(Mlp):
        def forward(self, x):
            h = cubed(self.up(x))
            return self.down(h) + self.down(cubed(h.tanh()))

    torch.manual_seed(0)
    converted = compare(Cubing(), torch.randn(3, 12, requires_grad=True))
    assert converted.report.mode == "compiled"
    names = {name for island in converted.report.islands for name in island.ops}
    assert {"tessera_tests.cubed.default", "tessera_tests.cubed_backward.default"} <= names


def test_training_follows_pytorch():
    torch.manual_seed(0)
    model = Cnn().train()
    reference = copy.deepcopy(model)
    x, target = torch.randn(4, 3, 16, 16), torch.tensor([0, 4, 2, 2])
    converted = ts.from_pytorch(model, (x, target), capture_backward=True)
    for each, run in ((model, converted), (reference, reference)):
        optimizer = torch.optim.AdamW(each.parameters(), lr=1e-3)
        losses = []
        for _ in range(8):
            optimizer.zero_grad()
            loss = run(x, target)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(each.parameters(), 1.0)
            optimizer.step()
            losses.append(loss.item())
        each.losses = losses
    torch.testing.assert_close(model.losses, reference.losses, rtol=1e-3, atol=1e-4)
    assert model.losses[-1] < model.losses[0]


def test_arguments():
    with pytest.raises(TypeError, match="capture_backward must be True or False, not 1"):
        ts.from_pytorch(Mlp(), (torch.randn(3, 12),), capture_backward=1)


def test_a_pass_that_cannot_be_traced_later_says_so():
    class Written(nn.Module):
        def forward(self, x):
            x.add_(1)
            return x * 2

    x = torch.randn(3)
    converted = ts.from_pytorch(Written(), (x,), capture_backward=True)
    with pytest.raises((CaptureError, RuntimeError), match=r"in place|in-place"):
        converted(x.clone().requires_grad_())
