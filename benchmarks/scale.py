"""Distils a graph neural network on a graph of a million nodes: ``python -m benchmarks.scale``.

A stochastic block model; a two-layer GNN as teacher, trained on the labelled nodes and their neighbourhoods; its view
of the whole graph, computed once; an MLP that learns from it by soft targets and local structure (KL + LSP). Prints
what every phase took, nodes per second, and the peaks of the process's resident memory and of a GPU's.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.loader import RandomNodeLoader
from torch_geometric.nn import MLP
from torch_geometric.utils import k_hop_subgraph

from benchmarks.measure import default_device, machine
from datasets.sbm import sbm
from graphkd import Cached, Distiller, fit
from graphkd.kernels import edge_layout, edge_spmm
from graphkd.losses import CE, KL, LSP

CLASSES, FEATURES = 10, 64
TAPS = {"hidden": ("lins.0", "layers.0")}


class MeanSAGE(nn.Module):
    """GraphSAGE with the mean of in-neighbours on our sparse product: memory for nodes and edges, not for messages.

    Hamilton et al., NeurIPS 2017.
    """

    def __init__(self, features: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2 * features, hidden), nn.Linear(2 * hidden, classes)])

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """(N, F), (2, E) -> (N, C)."""
        layout = edge_layout(edge_index, x.size(0))
        share = layout.ptr.diff().to(x.dtype).reciprocal()[layout.target]
        for number, layer in enumerate(self.layers):
            x = layer(torch.cat([x, edge_spmm(share, x, layout)], dim=1))
            x = x.relu() if number == 0 else x
        return x


class Phases:
    """Seconds by phase, in the order they ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time a block; a line on stderr when it is done."""
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        print(f"{name}: {self.seconds[name]:.1f} s, peak {peak_gb():.2f} GB", file=sys.stderr, flush=True)


def peak_gb() -> float:
    """The most memory that this process has had in use, in gigabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9


def graph(args: argparse.Namespace) -> Data:
    """A seeded graph with node ids, on the device."""
    data = sbm(args.nodes, CLASSES, FEATURES, args.edges / args.nodes, 0.8, args.seed, separation=3.0)
    data.n_id = torch.arange(args.nodes)
    return data.to(args.device)


def trained_teacher(data: Data, args: argparse.Namespace) -> nn.Module:
    """A teacher fitted to the labelled nodes, on the two hops around them, which is all that two layers see."""
    torch.manual_seed(args.seed)
    seeds = data.train_mask.nonzero().squeeze(1)
    nodes, edge_index, _, _ = k_hop_subgraph(seeds, 2, data.edge_index, relabel_nodes=True, num_nodes=data.num_nodes)
    part = Data(data.x[nodes], edge_index, y=data.y[nodes], train_mask=data.train_mask[nodes])
    model = MeanSAGE(FEATURES, args.hidden, CLASSES).to(args.device)
    return fit(Distiller(model, losses=CE(where="train_mask")), part, epochs=args.teacher_epochs, progress=False)


def student(args: argparse.Namespace) -> MLP:
    """The MLP to be taught."""
    torch.manual_seed(args.seed + 1)
    return MLP([FEATURES, args.hidden // 2, CLASSES], norm=None).to(args.device)


def batches(data: Data, parts: int) -> Any:
    """The whole graph, or a loader of random nodes and the edges among them."""
    return data if parts == 1 else RandomNodeLoader(data, parts, shuffle=True)


@torch.no_grad()
def accuracies(model: nn.Module, teacher: Tensor, data: Data) -> dict[str, float]:
    """Of student and teacher on the test nodes, and how often they agree there."""
    mask = data.test_mask
    guesses = torch.cat([model(rows).argmax(1) for rows in data.x.split(1 << 16)])[mask]
    wanted, taught = data.y[mask], teacher.argmax(1)[mask]
    pairs = {"accuracy": (guesses, wanted), "teacher_accuracy": (taught, wanted), "agreement": (guesses, taught)}
    return {name: float((one == other).float().mean()) for name, (one, other) in pairs.items()}


def run(args: argparse.Namespace) -> dict[str, Any]:
    """All phases; every figure by name."""
    phase, stamps = Phases(), [0.0]
    with phase("graph"):
        data = graph(args)
    with phase("teacher"):
        model = trained_teacher(data, args)
    teacher, learner = Cached(model, data, path=args.store), student(args)
    losses = KL(temperature=2.0) + LSP("cosine")
    task = Distiller(learner, teacher, losses, taps=TAPS)
    with phase("teacher's view"):
        taught = teacher(data)["logits"]
    optimizer = partial(torch.optim.Adam, lr=args.lr)
    reports: list[dict[str, float]] = []
    with phase("distillation"):
        stamps[0] = time.perf_counter()

        def log(report: dict[str, float]) -> None:
            stamps.append(time.perf_counter())
            reports.append(report)

        fit(task, batches(data, args.parts), epochs=args.epochs, optimizer=optimizer, seed=args.seed, log=log)
    with phase("evaluation"):
        found = accuracies(learner, taught, data)
    first, *later = [end - start for start, end in pairwise(stamps)]
    return {
        "nodes": data.num_nodes,
        "edges": data.num_edges,
        **{f"{name.replace(' ', '_')}_seconds": value for name, value in phase.seconds.items()},
        "first_epoch_seconds": first,  # sorts the edges and finds the teacher's distribution over them
        "epoch_seconds": median(later or [first]),
        "nodes_per_second": data.num_nodes * args.epochs / phase.seconds["distillation"],
        "first_loss": reports[0]["loss"],
        "last_loss": reports[-1]["loss"],
        **found,
        "peak_memory_mb": 1e3 * peak_gb(),
        **({"peak_gpu_memory_mb": torch.cuda.max_memory_allocated() / 1e6} if data.x.is_cuda else {}),
    }


# ---------------------------------------------------------------- reporting
def records(figures: dict[str, Any], args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One object per figure."""
    facts = {"dataset": "sbm", "split": "random", "teacher": "sage", "student": "mlp", "method": "kl+lsp"}
    facts |= {"seed": args.seed, "parts": args.parts, "epochs": args.epochs, **machine(args.device)}
    for metric, value in figures.items():
        yield facts | {"metric": metric, "value": value}


def table(figures: dict[str, Any], args: argparse.Namespace) -> Table:
    """The figures, phases first."""
    facts = machine(args.device)
    how = "full batches" if args.parts == 1 else f"{args.parts} batches an epoch"
    title = f"{figures['nodes']:,} nodes, {figures['edges']:,} edges, {args.epochs} epochs, {how}"
    shown = Table(title=title, caption=f"{facts['device']}, {facts['threads']} threads, torch {facts['torch']}")
    shown.add_column("figure")
    shown.add_column("value", justify="right")
    for name, value in figures.items():
        if name not in ("nodes", "edges"):
            shown.add_row(name.replace("_", " "), f"{value:,.0f}" if value >= 1000 else f"{value:.4g}")
    return shown


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=(__doc__ or "").replace("``", ""))
    parser.add_argument("--nodes", type=int, default=1_000_000, help="(%(default)s)")
    parser.add_argument("--edges", type=int, default=10_000_000, help="directed edges, on average (%(default)s)")
    parser.add_argument("--epochs", type=int, default=10, help="of the student (%(default)s)")
    parser.add_argument("--teacher-epochs", type=int, default=50, help="(%(default)s)")
    parser.add_argument(
        "--hidden", type=int, default=128, help="width of the teacher, twice the student's (%(default)s)"
    )
    parser.add_argument("--parts", type=int, default=1, help="batches of random nodes an epoch; 1: all (%(default)s)")
    parser.add_argument("--lr", type=float, default=0.03, help="(%(default)s)")
    parser.add_argument("--store", type=Path, help="keep the teacher's view in this folder on disk")
    parser.add_argument("--device", type=torch.device, default=default_device(), help="(%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write JSON Lines here, one object per figure")
    return parser


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run, print the table, write the file; the figures by name."""
    args = _parser().parse_args(arguments)
    torch.set_num_threads(args.threads)
    figures = run(args)
    if args.out:
        args.out.write_text("".join(json.dumps(row) + "\n" for row in records(figures, args)))
    Console().print(table(figures, args))
    return figures


if __name__ == "__main__":
    main()
