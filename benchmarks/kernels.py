"""Time and memory of every kernel against its plain form and PyG's functions: ``python -m benchmarks.kernels``."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from tqdm import tqdm

from benchmarks import kernel_cases as cases
from benchmarks.kernel_cases import OURS, Builder, Case, Provider, Size
from benchmarks.measure import default_device, machine, peak_memory, timed

Sizes = tuple[list[Size], list[Size]]
_SIMILAR: Sizes = (
    [Size(1_000, 10_000, 64, 0), Size(100_000, 1_000_000, 64, 0)],
    [Size(10_000, 100_000, 64, 0), Size(1_000_000, 1_000_000, 64, 0)],
)
_SCORES: Sizes = (
    [Size(1_000, 10_000, 0, 0), Size(100_000, 1_000_000, 0, 0)],
    [Size(10_000, 100_000, 0, 0), Size(1_000_000, 1_000_000, 0, 0)],
)
_LOCAL: Sizes = ([Size(100_000, 1_000_000)], [Size(1_000_000, 1_000_000)])

# op -> how its inputs are built, its sizes, and those that --sizes large adds
OPS: dict[str, tuple[Builder, list[Size], list[Size]]] = {
    "edge_similarity_cosine": (cases.similarity("cosine"), *_SIMILAR),
    "edge_similarity_dot": (cases.similarity("dot"), *_SIMILAR),
    "edge_similarity_squared_euclidean": (cases.similarity("squared_euclidean"), *_SIMILAR),
    "edge_similarity_rbf": (cases.similarity("rbf"), *_SIMILAR),
    "edge_similarity_l1": (cases.similarity("l1"), *_SIMILAR),
    "edge_dot": (cases.dot, *_SIMILAR),
    "edge_spmm": (cases.product, *_SIMILAR),
    "segment_log_softmax": (cases.log_softmax, *_SCORES),
    "edge_kl": (cases.kl, *_SCORES),
    "lsp": (cases.local(cached=False), *_LOCAL),
    "lsp_cached": (cases.local(cached=True), *_LOCAL),
    "gsp_cosine": (cases.all_similarities("cosine"), [Size(8_192), Size(1_000_000)], []),
    "gsp_poly": (cases.all_similarities("poly"), [Size(2_048)], [Size(8_192)]),
    "gsp_euclidean": (cases.all_similarities("euclidean"), [Size(2_048)], [Size(8_192)]),
    "gsp_rbf": (cases.all_similarities("rbf"), [Size(2_048)], [Size(8_192)]),
    "gcrd": (cases.contrast(normalised=True), [Size(8_192, 0, 128, 128)], [Size(100_000, 0, 128, 128)]),
    "infonce": (cases.contrast(normalised=False), [Size(8_192, 0, 128, 128)], []),
    "squared_distance_divergence": (cases.all_distances, [Size(2_048)], [Size(1_000_000)]),
}
MODES = ("forward", "backward", "full")
_PATIENCE = 60.0  # seconds of repeats after which a case has no further one


class Cost(NamedTuple):
    """What a provider took in each mode (median seconds, megabytes), or why it was not run."""

    seconds: dict[str, float]
    megabytes: dict[str, float]
    refusal: str = ""


# ---------------------------------------------------------------- measuring
def measure(case: Case, repeats: int, limit_gb: float, device: torch.device) -> dict[str, Cost]:
    """The cost of every provider; repeats go round the providers so that noise meets all of them."""
    refusals = {name: provider.refusal(limit_gb) for name, provider in case.providers.items()}
    runnable = {name: provider for name, provider in case.providers.items() if not refusals[name]}
    megabytes = {name: _megabytes(provider, case.leaves, device) for name, provider in runnable.items()}  # warms up too
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in runnable}
    start = time.perf_counter()
    for _ in range(repeats):
        for name, provider in runnable.items():
            seconds[name].append(_seconds(provider, case.leaves))
        if time.perf_counter() - start > _PATIENCE:
            break
    return {
        name: Cost({}, {}, refusal)
        if refusal
        else Cost({mode: median(run[mode] for run in seconds[name]) for mode in MODES}, megabytes[name])
        for name, refusal in refusals.items()
    }


def _seconds(provider: Provider, leaves: list[Tensor]) -> dict[str, float]:
    output: list[Tensor] = []
    (forward,) = timed(lambda: output.append(provider.forward()))
    weight = _weight(output[0])
    (backward,) = timed(lambda: pull(output[0], leaves, weight))
    return {"forward": forward, "backward": backward, "full": forward + backward}


def _megabytes(provider: Provider, leaves: list[Tensor], device: torch.device) -> dict[str, float]:
    output: list[Tensor] = []
    forward = peak_memory(lambda: output.append(provider.forward()), device)
    weight = _weight(output[0])
    backward = peak_memory(lambda: pull(output.pop(), leaves, weight), device)
    full = peak_memory(lambda: pull(provider.forward(), leaves, weight), device)
    return dict(zip(MODES, (size / 1e6 for size in (forward, backward, full)), strict=True))


def _weight(output: Tensor) -> Tensor:
    return torch.linspace(1, 2, output.numel(), dtype=output.dtype, device=output.device).view_as(output)


def pull(output: Tensor, leaves: list[Tensor], weight: Tensor) -> tuple[Tensor, ...]:
    """The gradients of the weighted sum of the output."""
    return torch.autograd.grad(output, leaves, weight)


# ---------------------------------------------------------------- reporting
def records(op: str, size: Size, costs: dict[str, Cost], facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One object per provider and mode that was measured."""
    shape = {"N": size.nodes, "E": size.edges or None}
    shape |= {"d_student": size.student or None, "d_teacher": size.teacher or None}
    for provider, cost in costs.items():
        for mode, seconds in cost.seconds.items():
            measured = {"seconds": seconds, "peak_memory_mb": cost.megabytes[mode]}
            yield {"op": op, "provider": provider, "mode": mode, **shape, **measured, **facts}


def new_table(facts: dict[str, Any]) -> Table:
    """The empty table."""
    about = "speed-up and memory share: ours against that provider, forward and backward together"
    table = Table(title=f"{facts['device']}, {facts['threads']} threads, torch {facts['torch']}", caption=about)
    for name in ("op", "N", "E", "d", "provider"):
        table.add_column(name, justify="right" if name in ("N", "E") else "left", no_wrap=True)
    for name in ("forward s", "backward s", "full s", "peak MB", "speed-up", "memory"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note", min_width=20)
    return table


def add_rows(table: Table, op: str, size: Size, costs: dict[str, Cost]) -> None:
    """A row per provider; one that was not run says why."""
    width = "/".join(str(width) for width in (size.student, size.teacher) if width)
    head = [op, f"{size.nodes:,}", f"{size.edges:,}" if size.edges else "", width]
    ours = costs[OURS]
    for provider, cost in costs.items():
        if cost.refusal:
            table.add_row(*head, provider, *[""] * 6, cost.refusal)
            continue
        figures = [f"{cost.seconds[mode]:.4g}" for mode in MODES] + [f"{cost.megabytes['full']:,.1f}"]
        if provider != OURS:
            figures.append(f"{cost.seconds['full'] / ours.seconds['full']:.1f}x")
            figures.append(f"{ours.megabytes['full'] / cost.megabytes['full']:.1%}")
        table.add_row(*head, provider, *figures, style="bold" if provider == OURS else None)
    table.add_section()


# ---------------------------------------------------------------- command line
def _ops(text: str) -> list[str]:
    names = list(OPS) if text == "all" else text.split(",")
    unknown = [name for name in names if name not in OPS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown op {', '.join(unknown)}; expected 'all' or some of {', '.join(OPS)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument("--ops", type=_ops, default="all", help=f"'all' or, with commas: {', '.join(OPS)}")
    parser.add_argument("--sizes", choices=("small", "large"), default="small", help="large adds what takes minutes")
    parser.add_argument("--nodes", type=int, help="this many nodes instead of the sizes of the table")
    parser.add_argument("--edges", type=int, help="this many edges instead, for the ops that have edges")
    parser.add_argument("--repeats", type=int, default=5, help="timed rounds; the median counts (%(default)s)")
    parser.add_argument("--limit-gb", type=float, default=12.0, help="leave out what needs more (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads on the CPU (%(default)s)")
    parser.add_argument("--device", type=torch.device, default=default_device(), help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write JSON Lines here, one object per provider and mode")
    return parser


def _sizes(op: str, args: argparse.Namespace) -> list[Size]:
    _, small, large = OPS[op]
    if args.nodes is None and args.edges is None:
        return small + large if args.sizes == "large" else small
    size = small[0]
    return [size._replace(nodes=args.nodes or size.nodes, edges=size.edges and (args.edges or size.edges))]


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    args = _parser().parse_args(arguments)
    torch.set_num_threads(args.threads)
    facts = {"seed": args.seed, **machine(args.device)}
    table, written = new_table(facts), []
    runs = [(op, size) for op in args.ops for size in _sizes(op, args)]
    bar = tqdm(runs, disable=None)
    for op, size in bar:
        bar.set_description(f"{op} {size.nodes:,}")
        torch.manual_seed(args.seed)
        costs = measure(OPS[op][0](size, args.device), args.repeats, args.limit_gb, args.device)
        add_rows(table, op, size, costs)
        written += [json.dumps(record) for record in records(op, size, costs, facts)]
        if args.out:
            args.out.write_text("".join(line + "\n" for line in written))  # each time: a late failure loses nothing
    console = Console()
    (console if console.is_terminal else Console(width=180)).print(table)


if __name__ == "__main__":
    main()
