# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Random operators: the bits themselves, distributions, types, and where numbers come from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from calling import Calling, converted
from torch import Tensor, nn

import tessera as ts
from tessera import _core
from tessera.lowering.context import LoweringContext
from tessera.random_keys import with_keys

COUNT = 200_000
#: The Kolmogorov-Smirnov statistic, times the root of the count, that one sample in 1e5 exceeds.
KS_BOUND = 2.47


def seeded(seed: int, call: Callable[..., Any], *args: Any) -> Any:
    torch.manual_seed(seed)
    return call(*args)


# --- bits ------------------------------------------------------------------------------------


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> list[int]:
    """Philox-4x32-10 as the paper has it."""
    c, k = list(counter), list(key)
    for _ in range(10):
        product0, product1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [
            (product1 >> 32) ^ c[1] ^ k[0],
            product1 & 0xFFFFFFFF,
            (product0 >> 32) ^ c[3] ^ k[1],
            product0 & 0xFFFFFFFF,
        ]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def expected_bits(count: int, dtype: torch.dtype, key: int) -> list[int]:
    halves = (key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF)
    if dtype == torch.int32:
        return [philox((i // 32 * 8 + i % 8, 0, 0, 0), halves)[i // 8 % 4] for i in range(count)]
    values = []
    for i in range(count):
        words, half = philox((i // 16 * 8 + i % 8, 0, 0, 0), halves), i // 8 % 2
        values.append(words[2 * half] | words[2 * half + 1] << 32)
    return values


def draw(
    shapes: list[tuple[tuple[int, ...], torch.dtype]], keys: Tensor, cpu: str = ""
) -> list[Tensor]:
    context = LoweringContext(_core.GraphBuilder())
    values = [context.random_bits(shape, dtype) for shape, dtype in shapes]
    compiled = _core.compile(context.finish(values, [True] * len(values)), cpu=cpu)
    results = _core.Executable(compiled, [], {}, "bits", 1)(keys)
    return list(results) if len(shapes) > 1 else [results]


def test_philox_known_answers() -> None:
    """The vectors published with Random123."""
    ones, pi = (0xFFFFFFFF,) * 4, (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
    assert philox((0,) * 4, (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox(ones, ones[:2]) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    assert philox(pi, (0xA4093822, 0x299F31D0)) == [
        0xD16CFE09,
        0x94FDCCEB,
        0x5001E420,
        0x24126EA1,
    ]
    (bits,) = draw([((32,), torch.int32)], torch.zeros(1, dtype=torch.int64))
    words = [bits[place].item() & 0xFFFFFFFF for place in (0, 8, 16, 24)]
    assert words == philox((0,) * 4, (0, 0))


@pytest.mark.parametrize("cpu", ["", "avx2"])
def test_bits_by_place(cpu: str) -> None:
    shapes = [
        ((100,), torch.int32),
        ((100,), torch.int64),
        ((7, 5), torch.int32),
        ((3, 64), torch.int32),
        ((), torch.int64),
        ((0, 4), torch.int32),
        ((3, 33), torch.int64),
        ((256,), torch.int32),
        ((2, 3, 160), torch.int64),
    ]
    keys = torch.randint(-(2**63), 2**63 - 1, (len(shapes),), dtype=torch.int64)
    for (shape, dtype), key, bits in zip(
        shapes, keys.tolist(), draw(shapes, keys, cpu), strict=True
    ):
        mask = (1 << torch.iinfo(dtype).bits) - 1
        want = expected_bits(math.prod(shape), dtype, key & (1 << 64) - 1)
        assert bits.shape == shape
        assert [value & mask for value in bits.flatten().tolist()] == want


# --- distributions ---------------------------------------------------------------------------


def normal(x: Tensor) -> Tensor:
    return torch.special.ndtr(x)


Cdf = Callable[[Tensor], Tensor]
#: function of a tensor, and the distribution function its results must have
CONTINUOUS: dict[str, tuple[Callable[[Tensor], Tensor], Cdf]] = {
    "rand": (lambda x: torch.rand(x.shape, dtype=x.dtype), lambda y: y),
    "rand_like": (torch.rand_like, lambda y: y),
    "randn": (lambda x: torch.randn(x.shape, dtype=x.dtype), normal),
    "randn_like": (torch.randn_like, normal),
    "uniform_": (lambda x: x.clone().uniform_(-3, 5), lambda y: (y + 3) / 8),
    "normal_": (lambda x: x.clone().normal_(2, 3), lambda y: normal((y - 2) / 3)),
    "normal means": (lambda x: torch.normal(x + 2, 3.0), lambda y: normal((y - 2) / 3)),
    "normal deviations": (lambda x: torch.normal(2.0, x + 3), lambda y: normal((y - 2) / 3)),
    "normal tensors": (lambda x: torch.normal(x + 2, x + 3), lambda y: normal((y - 2) / 3)),
    "log_normal_": (
        lambda x: x.clone().log_normal_(0.3, 0.5),
        lambda y: normal((y.log() - 0.3) / 0.5),
    ),
    "exponential_": (lambda x: x.clone().exponential_(2.5), lambda y: -torch.expm1(-2.5 * y)),
    "cauchy_": (
        lambda x: x.clone().cauchy_(1, 2),
        lambda y: 0.5 + torch.atan((y - 1) / 2) / math.pi,
    ),
    "rrelu": (lambda x: F.rrelu(x - 1, 0.1, 0.3, True), lambda y: (y + 0.3) / 0.2),
}
#: Steps of the type, in the measure of the distribution function.
GRANULARITY = {
    torch.float64: 0.0,
    torch.float32: 0.0,
    torch.float16: 2.0**-9,
    torch.bfloat16: 2.0**-6,
}


def distance(sample: Tensor, cdf: Cdf) -> float:
    """Between the sample's distribution function and `cdf`."""
    x = sample.double().flatten().sort().values
    steps = torch.arange(len(x) + 1, dtype=torch.float64) / len(x)
    exact = cdf(x)
    return max((steps[1:] - exact).abs().max().item(), (exact - steps[:-1]).abs().max().item())


@pytest.mark.parametrize("dtype", GRANULARITY, ids=str)
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous(name: str, dtype: torch.dtype) -> None:
    function, cdf = CONTINUOUS[name]
    x = torch.zeros(200, COUNT // 200, dtype=dtype)
    got = seeded(1, converted(function, x), x)
    assert (got.dtype, got.shape) == (dtype, x.shape)
    assert distance(got, cdf) < KS_BOUND / math.sqrt(COUNT) + GRANULARITY[dtype]


def test_tails_of_normal_numbers() -> None:
    x = torch.zeros(4_000_000)
    got = seeded(1, converted(torch.randn_like, x), x)
    for deviations in (3.0, 4.0, 4.5):
        share = math.erfc(deviations / math.sqrt(2))
        found = int((got.abs() > deviations).sum())
        assert abs(found - share * len(x)) < 5 * math.sqrt(share * len(x)) + 1
    assert abs(float((got**4).mean()) - 3) < 0.05


#: function of a tensor, least result, and the probability of each from there on
DISCRETE: dict[str, tuple[Callable[[Tensor], Tensor], int, list[float]]] = {
    "randint": (lambda x: torch.randint(3, 20, x.shape), 3, [1 / 17] * 17),
    "randint power of two": (lambda x: torch.randint(16, x.shape), 0, [1 / 16] * 16),
    "randint_like": (lambda x: torch.randint_like(x, -7, 5), -7, [1 / 12] * 12),
    "random_ int8": (lambda x: x.to(torch.int8).random_(), 0, [1 / 128] * 128),
    "random_ uint8": (lambda x: x.to(torch.uint8).random_(), 0, [1 / 256] * 256),
    "random_ bool": (lambda x: x.to(torch.bool).random_(), 0, [0.5, 0.5]),
    "random_ bfloat16": (lambda x: x.to(torch.bfloat16).random_(), 0, [1 / 257] * 257),
    "bernoulli p": (lambda x: x.clone().bernoulli_(0.3), 0, [0.7, 0.3]),
    "bernoulli": (lambda x: torch.bernoulli(x + 0.3), 0, [0.7, 0.3]),
    "bernoulli half": (lambda x: torch.bernoulli((x + 0.25).half()), 0, [0.75, 0.25]),
    "bernoulli double": (lambda x: torch.bernoulli((x + 0.3).double()), 0, [0.7, 0.3]),
    "bernoulli of p": (lambda x: x.int().bernoulli_(x.double() + 0.3), 0, [0.7, 0.3]),
    "geometric_": (
        lambda x: x.clone().geometric_(0.2),
        1,
        [0.2 * 0.8**k for k in range(30)],
    ),
    "geometric_ int": (
        lambda x: x.to(torch.int32).geometric_(0.2),
        1,
        [0.2 * 0.8**k for k in range(30)],
    ),
    "multinomial": (
        lambda x: torch.multinomial(x[:, :4] + torch.tensor([1.0, 0, 3, 4]), 1),
        0,
        [0.125, 0, 0.375, 0.5],
    ),
    "multinomial with replacement": (
        lambda x: torch.multinomial(torch.tensor([0, 1.0, 3, 0, 4, 0]) + x[0, :6], COUNT, True),
        0,
        [0, 0.125, 0.375, 0, 0.5, 0],
    ),
    "multinomial half": (
        lambda x: torch.multinomial((x[:, :2] + torch.tensor([1.0, 3])).half(), 5, True),
        0,
        [0.25, 0.75],
    ),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete(name: str) -> None:
    function, least, shares = DISCRETE[name]
    x = torch.zeros(COUNT // 20, 20)
    got = seeded(1, converted(function, x), x)
    assert got.dtype == function(x).dtype
    counts = torch.bincount(got.flatten().long() - least, minlength=len(shares)).double()
    want = got.numel() * torch.tensor(shares, dtype=torch.float64)
    # What a table of shares leaves out is its last entry.
    counts = torch.cat([counts[: len(shares)], counts[len(shares) :].sum().reshape(1)])
    want = torch.cat([want, (got.numel() - want.sum()).reshape(1)])
    assert bool((counts[want < 1e-9] == 0).all())
    kept = want >= 1e-9
    chi = float(((counts - want) ** 2 / want)[kept].sum())
    freedom = int(kept.sum()) - 1
    assert chi < freedom + 5 * math.sqrt(2 * max(freedom, 1)) + 5


@pytest.mark.parametrize(
    ("low", "high"), [(0, 3 * 2**61), (-(2**62), 2**61), (-5, 10**12), (0, 10)]
)
def test_integers_without_bias(low: int, high: int) -> None:
    """PyTorch takes a remainder: of 3 * 2^61 numbers it gives the first third more often."""
    x = torch.zeros(COUNT)
    got = seeded(1, converted(lambda x: torch.randint(low, high, x.shape), x), x)
    assert int(got.min()) >= low
    assert int(got.max()) < high
    thirds = (got.double() - low) / (high - low)
    assert distance(thirds, lambda y: y.clamp(0, 1)) < KS_BOUND / math.sqrt(COUNT) + 1 / (
        high - low
    )


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.float32], ids=str)
@pytest.mark.parametrize("size", [0, 1, 2, 1000])
def test_permutations(size: int, dtype: torch.dtype) -> None:
    run = converted(lambda x: torch.randperm(size, dtype=dtype) + 0 * x.to(dtype), torch.zeros(()))
    got = seeded(1, run, torch.zeros(()))
    assert got.dtype == dtype
    assert torch.equal(got.sort().values, torch.arange(size).to(dtype))
    if size == 1000:
        assert not torch.equal(got, run(torch.zeros(())))


def test_permutations_are_alike() -> None:
    run = converted(
        lambda x: torch.stack([torch.randperm(4) for _ in range(240)]) + x, torch.tensor(0)
    )
    torch.manual_seed(1)
    found: dict[tuple[int, ...], int] = {}
    for _ in range(10):
        for row in run(torch.tensor(0)).tolist():
            found[tuple(row)] = found.get(tuple(row), 0) + 1
    assert len(found) == 24
    assert all(50 < count < 160 for count in found.values())


def test_choices_without_replacement() -> None:
    weights = torch.tensor([0.0, 1, 2, 3, 0]).repeat(20_000, 1)
    got = seeded(1, converted(lambda w: torch.multinomial(w, 3), weights), weights)
    assert torch.equal(got.sort().values, torch.tensor([1, 2, 3]).repeat(20_000, 1))
    first = torch.bincount(got[:, 0]) / len(got)
    torch.testing.assert_close(first, torch.tensor([0, 1 / 6, 2 / 6, 3 / 6]), atol=0.02, rtol=0)
    # The second after a first of 3: one or two, as their weights are.
    second = got[got[:, 0] == 3, 1]
    assert abs(float((second == 2).float().mean()) - 2 / 3) < 0.02


# --- edges -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_ranges_leave_their_ends_out(dtype: torch.dtype) -> None:
    x = torch.zeros(COUNT, dtype=dtype)
    got = converted(lambda x: (torch.rand_like(x), x.clone().uniform_(1, 2)), x)(x)
    assert float(got[0].min()) >= 0
    assert float(got[0].max()) < 1
    assert float(got[1].min()) >= 1
    assert float(got[1].max()) < 2
    positive, finite = converted(lambda x: (x.clone().exponential_(), torch.randn_like(x)), x)(x)
    assert float(positive.min()) > 0
    assert bool(positive.isfinite().all())
    assert bool(finite.isfinite().all())


def test_certain_probabilities_and_no_elements() -> None:
    def function(x: Tensor) -> Any:
        return (
            x.clone().bernoulli_(0.0),
            x.clone().bernoulli_(1.0),
            torch.bernoulli(torch.zeros_like(x)),
            torch.bernoulli(torch.ones_like(x)),
            F.dropout(x, 0.0),
            F.dropout(x, 1.0),
            x.clone().uniform_(3, 3),
            torch.randint_like(x, 5, 6),
        )

    for x in (torch.full((3, 7), 2.0), torch.empty(0, 7), torch.tensor(2.0)):
        for ours, theirs in zip(converted(function, x)(x), function(x), strict=True):
            assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: torch.bernoulli(x), "a probability is not between 0 and 1"),
        (lambda x: x.clone().bernoulli_(x), "a probability is not between 0 and 1"),
        (lambda x: torch.normal(0.0, -x), "a standard deviation is less than 0"),
        (lambda x: torch.multinomial(-x, 1), "the weights of a random choice must be finite"),
        (lambda x: torch.multinomial(x - 1.5, 2, True), "weights of a random choice"),
        (lambda x: torch.multinomial(x * 0, 1), "not all 0"),
        (lambda x: torch.multinomial(x / 0, 1), "weights of a random choice"),
    ],
)
def test_parameters_that_mean_nothing(function: Callable[..., Any], message: str) -> None:
    x = torch.full((3, 7), 1.5)
    with pytest.raises(RuntimeError, match=message):
        converted(function, x)(x)
    x = x * math.nan
    with pytest.raises(RuntimeError, match=message):
        converted(function, x)(x)


def test_parameters_known_beforehand_are_pytorchs_to_refuse() -> None:
    x = torch.zeros(4)
    for function in (
        lambda x: x.clone().bernoulli_(1.5),
        lambda x: x.clone().geometric_(0.0),
        lambda x: x.clone().exponential_(-1.0),
        lambda x: x.clone().uniform_(2.0, 1.0),
    ):
        with pytest.raises(RuntimeError):
            function(x)
        with pytest.raises((RuntimeError, ts.errors.TesseraError)):
            ts.from_pytorch(Calling(function), example_inputs=(x,))(x)


# --- where numbers come from -----------------------------------------------------------------


def noisy(x: Tensor) -> Tensor:
    return F.dropout(F.gelu(x @ x.mT) + torch.randn_like(x), 0.25)


def test_seeds() -> None:
    x = torch.randn(64, 64)
    run = converted(noisy, x)
    first, second = seeded(3, run, x), run(x)
    assert not torch.equal(first, second)
    assert torch.equal(seeded(3, run, x), first)
    assert torch.equal(run(x), second)
    assert not torch.equal(seeded(4, run, x), first)
    state = torch.get_rng_state()
    third = run(x)
    torch.set_rng_state(state)
    with torch.random.fork_rng():
        assert torch.equal(run(x), third)
    assert torch.equal(run(x), third)


def test_threads_and_fusion_do_not_matter() -> None:
    x = torch.randn(512, 512)
    one, two = (converted(noisy, x, threads=count) for count in (1, 2))
    assert torch.equal(seeded(3, one, x), seeded(3, two, x))

    def mask(x: Tensor) -> Tensor:
        return torch.rand_like(x)

    alone = seeded(3, converted(mask, x), x)
    inputs = {
        "epilogue": lambda x: (x @ x) * 0 + mask(x),
        "rows": lambda x: (x * 0).softmax(-1) * 0 + mask(x),
        "behind rows": lambda x: mask(x) - mask(x * 1).mean() * 0,
        "stored": lambda x: (mask(x) @ torch.eye(512)) * 2 / 2,
        "transposed": lambda x: (mask(x).mT + x * 0).mT,
        "twice": lambda x: (lambda m: m + 0 * (x @ m) + 0 * m.sum(-1, keepdim=True))(mask(x)),
    }
    for name, function in inputs.items():
        got = seeded(3, converted(function, x), x)
        torch.testing.assert_close(got, alone, rtol=0, atol=1e-6, msg=name)


def test_each_operator_draws_its_own() -> None:
    x = torch.zeros(4, 16)
    first, second = converted(lambda x: (torch.rand_like(x), torch.rand_like(x)), x)(x)
    assert not torch.equal(first, second)
    layers = nn.Sequential(*(nn.Dropout(0.5) for _ in range(8)))
    run = ts.from_pytorch(layers, example_inputs=(torch.ones(100_000),), strict=True)
    kept = float((run(torch.ones(100_000)) != 0).float().mean())
    assert abs(kept - 0.5**8) < 0.001
    # They differ in nothing but their keys, which are no part of the code.
    stacked = nn.Sequential(*(nn.Sequential(nn.Linear(32, 32), nn.Dropout(0.5)) for _ in range(4)))
    run = ts.from_pytorch(stacked, example_inputs=(torch.ones(8, 32),), strict=True)
    assert run.ir("tile").count("func.func @contraction_") == 1


def test_programs_that_draw_nothing_take_no_keys() -> None:
    x = torch.randn(8, 8)
    plain, random = converted(torch.sin, x), converted(torch.rand_like, x)
    assert "random keys" not in plain.ir()
    assert "random keys" in random.ir()
    state = torch.get_rng_state()
    plain(x)
    assert torch.equal(torch.get_rng_state(), state)
    callable_ = object()
    assert with_keys(callable_, 0) is callable_


def test_a_generator_stays_with_its_owner() -> None:
    generator = torch.Generator().manual_seed(5)
    report = ts.from_pytorch(
        Calling(lambda x: x + torch.rand(4, generator=generator)), example_inputs=(torch.zeros(4),)
    )
    state = generator.get_state()
    want = torch.rand(4, generator=generator)
    generator.set_state(state)
    torch.testing.assert_close(report(torch.zeros(4)), want)


def test_functions_on_tensors() -> None:
    x = torch.ones(1000)
    ours = seeded(1, ts.nn.dropout, x, 0.5)
    assert torch.equal(ours, seeded(1, ts.nn.dropout, x, 0.5))
    assert set(ours.tolist()) == {0.0, 2.0}
    native = ts.nn.dropout(ts.from_torch(x), 0.5)
    assert type(native) is ts.Tensor
