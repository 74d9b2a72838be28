"""Time and memory of every kernel against its plain form, PyG and torch-scatter: ``python -m benchmarks.kernels``.

``--sweep`` doubles the graph several times instead and fits how time and memory grow.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from benchmarks.cases import contrast, edges, geometric, information, pairs, relations, sweep
from benchmarks.cases.common import Ops, Size, ours
from benchmarks.cases.costs import MODES, Cost, measure
from benchmarks.cases.sweep import SWEEPS, SWEPT
from benchmarks.measure import CLOCKS, bandwidth, default_device, machine, product_rate

OPS: Ops = {**edges.OPS, **pairs.OPS, **relations.OPS, **geometric.OPS, **information.OPS, **contrast.OPS}


# ---------------------------------------------------------------- reporting
def records(
    op: str, size: Size, costs: dict[str, Cost], facts: dict[str, Any], limit: float = 0.0
) -> Iterator[dict[str, Any]]:
    """One object per provider and mode that was measured; the machine's limit where both passes were."""
    shape = {"N": size.nodes, "E": size.edges or None}
    shape |= {"d_student": size.student or None, "d_teacher": size.teacher or None}
    for provider, cost in costs.items():
        for mode, seconds in cost.seconds.items():
            measured = {"seconds": seconds, "peak_memory_mb": cost.megabytes[mode]}
            least = {"limit_seconds": limit} if limit and mode == "full" else {}
            yield {"op": op, "provider": provider, "mode": mode, **shape, **measured, **least, **facts}


def new_table(facts: dict[str, Any]) -> Table:
    """The empty table."""
    about = "speed-up and memory share: ours against that provider, forward and backward together; limit: what must be "
    about += f"moved at a copy's {facts['copy_gb_per_second']:,.0f} GB a second or multiplied at a matrix product's "
    about += f"{facts['product_gflops_per_second']:,.0f} GFLOP a second, whichever is longer, as a share of that time"
    table = Table(
        title=f"{facts['device']}, {facts['threads']} threads, {facts['clock']} time, torch {facts['torch']}",
        caption=about,
    )
    for name in ("op", "N", "E", "d", "provider"):
        table.add_column(name, justify="right" if name in ("N", "E") else "left", no_wrap=True)
    for name in ("forward s", "backward s", "full s", "peak MB", "speed-up", "memory", "limit"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note", min_width=20)
    return table


def add_rows(table: Table, op: str, size: Size, costs: dict[str, Cost], own: str, share: str = "") -> None:
    """A row per provider, ``own`` is the library's with the limit's share of it; one that was not run says why."""
    width = "/".join(str(width) for width in (size.student, size.teacher) if width)
    head = [op, f"{size.nodes:,}", f"{size.edges:,}" if size.edges else "", width]
    best = costs[own]
    for provider, cost in costs.items():
        if cost.refusal:
            table.add_row(*head, provider, *[""] * 7, cost.refusal)
            continue
        figures = [f"{cost.seconds[mode]:.4g}" for mode in MODES] + [f"{cost.megabytes['full']:,.1f}"]
        if provider == own:
            figures += ["", "", share]
        else:
            figures.append(f"{cost.seconds['full'] / best.seconds['full']:.1f}x")
            figures.append(f"{best.megabytes['full'] / cost.megabytes['full']:.1%}")
        table.add_row(*head, provider, *figures, style="bold" if provider == own else None)
    table.add_section()


# ---------------------------------------------------------------- command line
def _ops(text: str) -> list[str]:
    names = list(OPS) if text == "all" else text.split(",")
    unknown = [name for name in names if name not in OPS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown op {', '.join(unknown)}; expected 'all' or some of {', '.join(OPS)}")
    return names


def _parser() -> argparse.ArgumentParser:
    about = (__doc__ or "").replace("``", "")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=about)
    parser.add_argument("--ops", type=_ops, default="all", help=f"'all' or, with commas: {', '.join(OPS)}")
    parser.add_argument("--sizes", choices=("small", "large"), default="small", help="large adds what takes minutes")
    parser.add_argument("--sweep", action="store_true", help=f"fit growth, of those ops that are in {', '.join(SWEPT)}")
    parser.add_argument("--nodes", type=int, help="this many nodes instead of the sizes of the table; first of a sweep")
    parser.add_argument("--edges", type=int, help="this many edges instead, for the ops that have edges")
    parser.add_argument("--repeats", type=int, default=5, help="timed rounds; the median counts (%(default)s)")
    parser.add_argument("--limit-gb", type=float, default=12.0, help="leave out what needs more (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads on the CPU (%(default)s)")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: of all threads, for a busy machine")
    parser.add_argument("--device", type=torch.device, default=default_device(), help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write JSON Lines here, one object per provider and mode")
    return parser


def _chosen(size: Size, args: argparse.Namespace) -> Size:
    return size._replace(nodes=args.nodes or size.nodes, edges=size.edges and (args.edges or size.edges))


def _sizes(op: str, args: argparse.Namespace) -> list[Size]:
    _, small, large = OPS[op]
    if args.nodes is None and args.edges is None:
        return small + large if args.sizes == "large" else small
    return [_chosen(small[0], args)]


def compare(args: argparse.Namespace, facts: dict[str, Any]) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """Measure every provider of every op; after each, the table so far and its objects for the file."""
    copied, multiplied = (rate(args.device, CLOCKS[args.clock]) for rate in (bandwidth, product_rate))
    facts = {"copy_gb_per_second": copied / 1e9, "product_gflops_per_second": multiplied / 1e9, **facts}
    table = new_table(facts)
    runs = [(op, size) for op in args.ops for size in _sizes(op, args)]
    bar = tqdm(runs, disable=None)
    for op, size in bar:
        bar.set_description(f"{op} {size.nodes:,}")
        torch.manual_seed(args.seed)
        case = OPS[op][0](size, args.device)
        costs = measure(case, args.repeats, args.limit_gb, args.device, clock=CLOCKS[args.clock])
        own = ours(args.device)
        limit = max(case.moved / copied, case.flops / multiplied)
        add_rows(table, op, size, costs, own, f"{limit / costs[own].seconds['full']:.0%}" if limit else "")
        yield table, list(records(op, size, costs, facts, limit))


def grow(args: argparse.Namespace, facts: dict[str, Any]) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """Measure the library's ops as their graphs double; after each op, the table so far and its objects."""
    table, own = sweep.new_table(facts), ours(args.device)
    plans = [plan._replace(first=_chosen(plan.first, args)) for plan in SWEEPS if plan.op in args.ops]
    bar = tqdm(plans, disable=None)
    for plan in bar:
        bar.set_description(plan.op)
        found = sweep.costs(OPS[plan.op][0], plan, args.repeats, args.device, args.seed, CLOCKS[args.clock])
        sweep.add_row(table, plan, found)
        rows = [row for size, cost in found.items() for row in records(plan.op, size, {own: cost}, facts)]
        yield table, rows + [fit | facts for fit in sweep.summaries(plan, found)]


def main(arguments: list[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.sweep and not set(SWEPT) & set(args.ops):
        parser.error(f"--sweep needs at least one of {', '.join(SWEPT)} in --ops, got {', '.join(args.ops)}")
    torch.set_num_threads(args.threads)
    facts = {"seed": args.seed, "clock": args.clock, **machine(args.device)}
    written: list[str] = []
    table = Table()
    for table, rows in (grow if args.sweep else compare)(args, facts):  # noqa: B007 - the last one is printed
        written += [json.dumps(row) for row in rows]
        if args.out:
            args.out.write_text("".join(line + "\n" for line in written))  # each time: a late failure loses nothing
    console = Console()
    (console if console.is_terminal else Console(width=180)).print(table)


if __name__ == "__main__":
    main()
