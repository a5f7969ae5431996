# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""`python -m benchmarks.partition`: ten models, operators drawn at random left to PyTorch.

Beside torch.fx's CapabilityBasedPartitioner, on the same graph with the same supported nodes.
Counted are stretches of compiled code: each is entered from PyTorch once and left once, so
crossings are twice that. "torch" lets it have partitions of a single node, as unsupported operators
on either side of a node make them; "torch -1" is its default, which gives those back to PyTorch
whatever that costs. With --time the hybrid is timed beside the eager model, in turns; on one thread
that is the CPU time of the process, which holds on a busy machine.
"""

from __future__ import annotations

import argparse
import gc
import logging
import time
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.fx.passes.infra.partitioner import CapabilityBasedPartitioner
from torch.fx.passes.operator_support import OperatorSupportBase

import tessera as ts
from benchmarks import machine, measure, removal
from benchmarks.architectures import ARCHITECTURES, Architecture
from tessera.lowering.costs import CostModel

#: Always tried besides what is drawn: the norms and activations of a transformer.
KNOWN = {"swin-t": ["aten.gelu", "aten.layer_norm"]}
#: How much slower than eager a hybrid may be.
SLOWER = 1.05


class _Supported(OperatorSupportBase):
    def __init__(self, unsupported: Collection[fx.Node]) -> None:
        self.unsupported = unsupported

    def is_node_supported(self, submodules: Mapping[str, nn.Module], node: fx.Node) -> bool:
        return node.op == "call_function" and node not in self.unsupported


@dataclass
class Outcome:
    """One model without some operators."""

    model: str
    removed: list[str]
    nodes: int = 0
    unsupported: int = 0
    #: stretches of compiled code: ours, without moving nodes, and torch's with and without those
    #: of a single node
    ours: int = 0
    unmoved: int = 0
    torch: int = 0
    torch_default: int = 0
    islands: int = 0
    moved: int = 0
    seconds: float = 0.0
    torch_seconds: float = 0.0
    #: milliseconds of a call
    hybrid: float | None = None
    eager: float | None = None

    def __str__(self) -> str:
        counts = (
            f"{self.model:16}{self.unsupported:4} of {self.nodes:4} unsupported   partitions: "
            f"{self.ours:3} (unmoved {self.unmoved:3})  torch {self.torch:3}  torch -1 "
            f"{self.torch_default:3}   {self.islands:3} islands, {self.moved:3} nodes moved   in "
            f"{self.seconds:.2f} s, torch {self.torch_seconds:.2f} s"
        )
        if self.hybrid is not None and self.eager is not None:
            counts += (
                f"   call {self.hybrid:.2f} ms, eager {self.eager:.2f} ms: "
                f"{self.hybrid / self.eager:.2f}x"
            )
        return f"{counts}   without {', '.join(self.removed)}"


def _partitions(graph: fx.GraphModule, unsupported: Collection[fx.Node], single: bool) -> int:
    partitioner = CapabilityBasedPartitioner(
        graph, _Supported(unsupported), allows_single_node_partition=single
    )
    return len(partitioner.propose_partitions())


def run(
    architecture: Architecture, seed: int | None, count: int, small: bool, timed: bool, rounds: int
) -> Outcome:
    """Takes operators out, `count` by `seed` or the KNOWN ones, and looks at what is left."""
    model, arguments = architecture.build(small=small)
    captured, importer = removal.captured_importer(model, arguments)
    if seed is None:
        removed = KNOWN[architecture.name]
    else:
        removed = removal.drawn(removal.operators_of(importer.nodes), seed, count)
    outcome = Outcome(architecture.name, removed, len(importer.nodes))
    with removal.without(removed):
        _, unsupported = importer.first_pass()
        outcome.unsupported = len(unsupported)
        begin = time.process_time()
        parts = importer.partition(unsupported, CostModel())
        outcome.seconds = time.process_time() - begin
        outcome.unmoved = importer.partition(unsupported, None).segments
    outcome.ours, outcome.islands = parts.segments, len(parts.islands)
    outcome.moved = len(parts.moved)
    graph = captured.program.graph_module
    begin = time.process_time()
    outcome.torch = _partitions(graph, unsupported, True)
    outcome.torch_seconds = time.process_time() - begin
    outcome.torch_default = _partitions(graph, unsupported, False)
    if timed:
        _time(outcome, model, arguments, rounds)
    return outcome


def _time(
    outcome: Outcome, model: nn.Module, arguments: dict[str, torch.Tensor], rounds: int
) -> None:
    threads = torch.get_num_threads()
    with removal.without(outcome.removed), torch.no_grad():
        hybrid = ts.from_pytorch(model, example_kwargs=arguments)
        timed = measure.interleave(
            {"eager": lambda: model(**arguments), "hybrid": lambda: hybrid(**arguments)},
            threads,
            rounds,
        )
    outcome.eager = timed.series["eager"].quartile * 1e3
    outcome.hybrid = timed.series["hybrid"].quartile * 1e3


def summary(outcomes: list[Outcome]) -> list[str]:
    """What the table comes to, a model at a time."""
    by_model: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_model.setdefault(outcome.model, []).append(outcome)
    fewer = [
        name
        for name, rows in by_model.items()
        if sum(row.ours for row in rows) < sum(row.torch for row in rows)
    ]
    more = [row for row in outcomes if row.ours > row.torch]
    default = [row for row in outcomes if row.ours > row.torch_default]
    lines = [
        f"more partitions than torch: {len(more)} of {len(outcomes)} cases; than torch's default, "
        f"which leaves single nodes to PyTorch at any price: {len(default)}",
        f"fewer over all cases of a model: {len(fewer)} of {len(by_model)}: {', '.join(fewer)}",
    ]
    timed = [row.hybrid / row.eager for row in outcomes if row.hybrid and row.eager]
    if timed:
        slow = sum(ratio > SLOWER for ratio in timed)
        lines.append(
            f"slower than eager by more than 5 %: {slow} of {len(timed)}; the slowest takes "
            f"{max(timed):.2f}x of eager's time, the fastest {min(timed):.2f}x"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.partition", description=__doc__)
    parser.add_argument("--only", default="", help="models whose name contains this, by comma")
    parser.add_argument("--small", action="store_true", help="few and narrow layers")
    parser.add_argument("--seeds", type=int, default=3, help="how many draws for each model")
    parser.add_argument("--count", type=int, default=3, help="operators taken out in each")
    parser.add_argument("--time", action="store_true", help="convert and time the hybrids, too")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(options.threads)
    about = machine.describe(options.threads, "partition")
    print(f"{about['cpu']}, {options.threads} thread(s), torch {about['torch']}", flush=True)
    wanted = [part.strip() for part in options.only.split(",") if part.strip()]
    outcomes = []
    for name, architecture in ARCHITECTURES.items():
        if wanted and not any(part in name for part in wanted):
            continue
        for seed in ([None] if name in KNOWN else []) + [*range(options.seeds)]:
            outcome = run(
                architecture, seed, options.count, options.small, options.time, options.rounds
            )
            print(outcome, flush=True)
            outcomes.append(outcome)
            gc.collect()
    print("\n".join(summary(outcomes)))


if __name__ == "__main__":
    main()
