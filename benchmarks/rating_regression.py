"""Distil models that predict ratings from features of users and films: teacher x student x methods x seeds.

``python -m benchmarks.recsys --task ratings --dataset ml-100k --methods all --seeds 5 --threads 1``. A row's features
are the user's and the film's mean rating and number of ratings (of other training rows), and their attributes, one
column a value. ``--outliers`` replaces a share of the training ratings by ratings of other rows.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from benchmarks.context.rating_methods import METHODS, Lesson, Regressor, SquaredError, method, predicted
from benchmarks.measure import timed
from benchmarks.options import add_options, collect, use_options
from benchmarks.report import Row, plot, show
from datasets.clicks import CLICKS, load_clicks
from graphkd import Distiller, fit
from graphkd.core.rng import seeded
from recsys.data.rows import RowBatches, Rows

MANY = 100  # a field of more values has no column for each


def dense(rows: Rows, *, outliers: float = 0.0, seed: int = 0) -> Rows:
    """Rows with standardised features ``x`` (N, F) and the rating ``y`` (N, 1); outliers among training rows alone."""
    rating = rows.columns["rating"].double()
    generator = torch.Generator().manual_seed(seed)
    replaced = rows.train[torch.rand(len(rows.train), generator=generator) < outliers]
    donors = rows.train[torch.randint(len(rows.train), replaced.shape, generator=generator)]
    known = rating.index_copy(0, replaced, rating[donors])
    parts = [_histories(rows, rows.columns[name], known) for name in ("user_id", "item_id")]
    for name, field in rows.fields.items():
        if field.size <= MANY and name not in ("user_id", "item_id"):
            one_hot = F.one_hot(rows.columns[name], field.size).double()
            parts.append(one_hot.amax(dim=1)[:, 1:] if field.sequence else one_hot[:, 1:])  # 0 fills up
    x = torch.cat(parts, dim=1)
    seen = x[rows.train]
    spread = seen.std(dim=0)
    x = (x - seen.mean(dim=0)) / torch.where(spread > 0, spread, 1)
    return Rows({"x": x.float(), "y": known.float()[:, None]}, {}, rows.train, rows.valid, rows.test)


def _histories(rows: Rows, ids: Tensor, rating: Tensor) -> Tensor:
    """Mean and log number of the training ratings of every row's user or item, its own rating not among them."""
    size = int(ids.max()) + 1
    sums, counts = torch.zeros(2, size, dtype=torch.float64)
    sums.index_add_(0, ids[rows.train], rating[rows.train])
    counts.index_add_(0, ids[rows.train], torch.ones(len(rows.train), dtype=torch.float64))
    own = torch.zeros_like(rating).index_fill(0, rows.train, 1)
    number = counts[ids] - own
    mean = (sums[ids] - own * rating) / number.clamp(min=1)
    return torch.stack([torch.where(number > 0, mean, rating[rows.train].mean()), number.log1p()], dim=1)


def judge(model: Regressor, rows: Rows, ids: Tensor) -> dict[str, float]:
    """Share of the variance that is explained, root mean squared and mean absolute error."""
    batch = rows.take(ids)
    errors = (predicted(model, batch) - batch["y"]).double()
    mse = float(errors.square().mean())
    variance = float(batch["y"].double().var(correction=0))
    return {"explained": 1 - mse / variance, "rmse": mse**0.5, "mae": float(errors.abs().mean())}


def runs(arguments: argparse.Namespace, seed: int) -> Iterator[tuple[str, Regressor, float, Rows]]:
    """The teacher, then a student of every method: name, model, seconds, rows."""
    rows = dense(load_clicks(arguments.dataset, seed=seed).rows, outliers=arguments.outliers, seed=seed)
    options = {
        "epochs": arguments.epochs,
        "patience": arguments.patience,
        "optimizer": partial(torch.optim.Adam, lr=arguments.lr),
        "metric": lambda model: -judge(model, rows, rows.valid)["rmse"],
        "seed": seed,
        "progress": False,
    }
    with seeded(seed):
        teacher = Regressor([rows.columns["x"].size(1), *arguments.teacher])
    started = time.perf_counter()
    fit(Distiller(teacher, losses=SquaredError()), RowBatches(rows, rows.train), **options)
    yield "teacher", teacher, time.perf_counter() - started, rows
    lesson = Lesson(rows, arguments.student, teacher, options)
    for name in arguments.methods:
        started = time.perf_counter()
        yield name, METHODS[name](lesson), time.perf_counter() - started, rows


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """One row a measured value, seed by seed."""
    with tqdm(total=arguments.seeds * (len(arguments.methods) + 1), unit="run", disable=None) as shown:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            for name, model, seconds, data in runs(arguments, seed):
                widths = arguments.teacher if name == "teacher" else arguments.student
                about = {
                    "dataset": arguments.dataset,
                    "split": "ratings" if not arguments.outliers else f"ratings, {arguments.outliers:g} outliers",
                    "teacher": "-".join(map(str, arguments.teacher)),
                    "student": "-".join(map(str, widths)),
                    "method": name,
                    "seed": seed,
                    "parameters": sum(p.numel() for part in (model.body, model.head) for p in part.parameters()),
                    "latency_ms": 1e3 * sorted(timed(partial(predicted, model, data.take(data.test[:1000])), 9))[4],
                    "train_seconds": seconds,
                }
                for metric, value in judge(model, data, data.test).items():
                    yield {**about, "metric": metric, "value": value}
                shown.set_postfix(seed=seed, method=name)
                shown.update()


def _layers(text: str) -> list[int]:
    if not re.fullmatch(r"[1-9]\d*(-[1-9]\d*)*", text):
        raise argparse.ArgumentTypeError(f"layers are WIDTH-WIDTH-..., got {text!r}")
    return [int(width) for width in text.split("-")]


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    prog = "python -m benchmarks.recsys --task ratings"
    parser = argparse.ArgumentParser(prog=prog, description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--dataset", default="ml-100k", choices=list(CLICKS), help="(default: %(default)s)")
    add("--teacher", type=_layers, default="128-128", help="widths of its layers (default: %(default)s)")
    add("--student", type=_layers, default="8", help="widths of its layers (default: %(default)s)")
    add("--outliers", type=float, default=0.0, help="share of wrong training ratings (default: %(default)s)")
    add("--epochs", type=int, default=20, help="at most (default: %(default)s)")
    add("--patience", type=int, default=4, help="epochs without a better validation (default: %(default)s)")
    add("--lr", type=float, default=1e-3, help="of Adam (default: %(default)s)")
    add_options(parser, list(METHODS), default="all", groups=["all"])
    arguments = parser.parse_args(argv)
    use_options(parser, arguments, {"all": list(METHODS)}, method)
    if not 0 <= arguments.outliers < 1:
        parser.error(f"'--outliers' must be from 0 to below 1, got {arguments.outliers}")
    return arguments


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    measured = collect(rows, arguments)
    title = f"{arguments.dataset}, {measured[0]['split']}, {arguments.seeds} seeds"
    show(measured, title)
    if arguments.plot:
        plot(measured, arguments.plot, title, quality="explained", latency="milliseconds for 1,000 rows")
    return measured
