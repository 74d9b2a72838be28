"""Compress recommenders: teacher x student x methods x seeds on one dataset.

``python -m benchmarks.recsys --dataset ml-100k --teacher mf:64 --student mf:8 --methods none,rrd,de --seeds 5``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.measure import timed
from benchmarks.ranking_methods import BATCH_SIZE, METHODS, Lesson, Plan, method
from benchmarks.report import plot, show, write
from datasets.recommenders import RECOMMENDERS, load_interactions
from graphkd import Distiller, Frozen, fit
from graphkd.core.rng import seeded
from recsys.batches import RankingBatches
from recsys.evaluate import draw_candidates, full_ranking, held_out, leave_one_out
from recsys.interactions import Interactions, Split
from recsys.losses import BPR
from recsys.models import MF, LightGCN, Recommender, tables_of
from recsys.models import show as view
from recsys.retrieve import Retriever

MODELS: dict[str, Callable[[Interactions, int], Recommender]] = {
    "mf": lambda train, width: MF(train.num_users, train.num_items, width),
    "lightgcn": lambda train, width: LightGCN(train, width),
}


class Protocol:
    """How a model is judged: full ranking, or leave-one-out among 499 fixed candidates; quality by metric name."""

    def __init__(self, name: str, split: Split) -> None:
        self.name, self.split = name, split
        if name == "loo":
            self.candidates = draw_candidates(split.train.union(split.valid, split.test))
            self.targets = {part: held_out(pairs) for part, pairs in (("valid", split.valid), ("test", split.test))}

    def quality(self, model: Recommender, part: str = "test") -> dict[str, float]:
        """All metrics of a part of the split."""
        if self.name == "loo":
            other = "valid" if part == "test" else "test"
            return leave_one_out(model, self.targets[part], self.candidates, removed=self.targets[other])
        relevant = self.split.test if part == "test" else self.split.valid
        seen = [self.split.train, self.split.valid] if part == "test" else [self.split.train]
        cutoffs = (10,) if self.name == "ratio" else (10, 20, 50)
        return full_ranking(model, relevant, seen, [f"{kind}@{k}" for kind in ("ndcg", "recall") for k in cutoffs])

    def validate(self, model: Recommender) -> float:
        """The metric that chooses the epoch: the first of the protocol."""
        return next(iter(self.quality(model, "valid").values()))


class Stopwatch:
    """Batches that keep the time of an epoch's parts, also over interruptions: making batches, validating, the rest."""

    def __init__(self, batches: RankingBatches) -> None:
        self.batches, self.started = batches, time.perf_counter()
        self.spent = {"seconds": 0.0, "sampling": 0.0, "validation": 0.0, "epochs": 0}

    def __iter__(self) -> Iterator[Any]:
        self.spent["epochs"] += 1
        batches, started = iter(self.batches), time.perf_counter()
        for batch in batches:
            self.spent["sampling"] += time.perf_counter() - started
            yield batch
            started = time.perf_counter()

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Pass on."""
        self.batches.set_epoch(epoch, epochs)

    def validate(self, metric: Callable[[Any], float], model: Any) -> float:
        """The metric of a model, on the watch."""
        started = time.perf_counter()
        value = metric(model)
        self.spent["validation"] += time.perf_counter() - started
        return value

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on with."""
        now = time.perf_counter()
        self.spent["seconds"], self.started = self.spent["seconds"] + now - self.started, now
        return {"batches": self.batches.state_dict(), "spent": dict(self.spent)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on."""
        self.batches.load_state_dict(state["batches"])
        self.spent, self.started = dict(state["spent"]), time.perf_counter()

    def costs(self) -> dict[str, float]:
        """Seconds in all, and per epoch for sampling and for the gradient."""
        spent = self.state_dict()["spent"]
        epochs = max(spent["epochs"], 1)
        gradient = spent["seconds"] - spent["sampling"] - spent["validation"]
        return {
            "train_seconds": spent["seconds"],
            "sampling_seconds": spent["sampling"] / epochs,
            "gradient_seconds": gradient / epochs,
            "epochs": spent["epochs"],
        }


@dataclass(frozen=True)
class Trained:
    """A model, and the seconds that training it took: in all, and per epoch for sampling and for the gradient."""

    model: Recommender
    costs: dict[str, float]


def train(student: Recommender, teacher: Recommender | None, plan: Plan, protocol: Protocol, options: Any) -> Trained:
    """Fit a recommender to a loss and its lists; the epoch is chosen on the validation part, or is the last."""
    loss, sources = plan
    batches = Stopwatch(RankingBatches(protocol.split.train, batch_size=BATCH_SIZE, sources=sources))
    task = Distiller(student, Frozen(teacher, call=view) if teacher else None, loss, call=view)
    metric = partial(batches.validate, protocol.validate) if options["patience"] else None
    fit(task, batches, metric=metric, **options)
    return Trained(student, batches.costs())


def cost(model: Recommender) -> dict[str, float]:
    """Parameters, bytes of the two tables, and milliseconds for the first 20 items of 1,000 users."""
    tables = tables_of(model)
    users = torch.arange(1000) % model.num_users
    retriever = Retriever(tables)
    search = partial(retriever.users, users, 20)
    search()
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "embedding_bytes": sum(t.numel() * t.element_size() for t in tables.tables()),
        "latency_ms": sorted(timed(search, 5))[2] * 1e3,
    }


def runs(arguments: argparse.Namespace, protocol: Protocol, seed: int) -> Iterator[tuple[str, str, Trained]]:
    """The teacher of one seed, then a student of every method: (method, model, trained)."""
    options = {
        "epochs": arguments.epochs,
        "patience": arguments.patience or None,
        "metric_every": arguments.metric_every,
        "optimizer": partial(
            torch.optim.Adam, lr=arguments.lr, weight_decay=arguments.weight_decay, fused=True
        ),
        "seed": seed,
    }

    def kept(method: str, model: str) -> dict[str, Any]:
        if arguments.runs is None:
            return options
        folder = arguments.runs / "-".join((arguments.dataset, method, model.replace(":", ""), str(seed)))
        return {**options, "checkpoint": folder, "resume": True}

    train_pairs = protocol.split.train
    with seeded(seed):
        model = arguments.teacher(train_pairs)
    teacher = train(model, None, (1.0 * BPR(), {}), protocol, kept("teacher", arguments.teacher_name))
    yield "teacher", arguments.teacher_name, teacher
    fixed, shared = tables_of(teacher.model), dict[str, Any]()
    for name in arguments.methods:
        with seeded(seed):
            student = arguments.student(train_pairs)
            plan = method(name)(Lesson(student, fixed, train_pairs, shared))
        needs_teacher = any(loss.needs_teacher for _, loss in plan[0].parts())
        about = kept(name, arguments.student_name)
        yield name, arguments.student_name, train(student, fixed if needs_teacher else None, plan, protocol, about)


def rows(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row a measured value, seed by seed."""
    total = arguments.seeds * (len(arguments.methods) + 1)
    with tqdm(total=total, unit="run", disable=None) as shown:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            protocol = Protocol(arguments.protocol, load_interactions(arguments.dataset, seed=seed))
            for name, model, trained in runs(arguments, protocol, seed):
                about = {
                    "dataset": arguments.dataset,
                    "split": arguments.protocol,
                    "teacher": arguments.teacher_name,
                    "student": model,
                    "method": name,
                    "seed": seed,
                }
                costs = {**cost(trained.model), **trained.costs}
                for metric, value in protocol.quality(trained.model).items():
                    yield {**about, "metric": metric, "value": value, **costs}
                shown.set_postfix(seed=seed, method=name)
                shown.update()


def _model(text: str) -> Callable[[Interactions], Recommender]:
    name, _, width = text.partition(":")
    if name not in MODELS or not width.isdigit() or int(width) < 1:
        raise argparse.ArgumentTypeError(f"a model is NAME:WIDTH with a name of {sorted(MODELS)}, got {text!r}")
    build: Callable[[Interactions], Recommender] = partial(_build, name, int(width))
    return build


def _build(name: str, width: int, train_pairs: Interactions) -> Recommender:
    return MODELS[name](train_pairs, width)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recsys", description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--dataset", choices=sorted(RECOMMENDERS), default="ml-100k", help="default: %(default)s, embedded in RecBole")
    add("--protocol", choices=("ratio", "full", "loo"), help="default: loo for citeulike-derrd, full for ...-td, ratio")
    add("--teacher", dest="teacher_name", default="mf:64", help="NAME:WIDTH, default: %(default)s")
    add("--student", dest="student_name", default="mf:8", help="NAME:WIDTH, default: %(default)s")
    add("--methods", default="none,rrd,de", help=f"comma-separated, or 'all': {', '.join(METHODS)}")
    add("--seeds", type=int, default=3, help="number of seeds: of the split, the weights, the training")
    add("--first-seed", type=int, default=0)
    add("--epochs", type=int, default=200, help="at most (default: %(default)s)")
    add("--patience", type=int, default=20, help="epochs without a better validation; 0: the last epoch (%(default)s)")
    add("--metric-every", type=int, default=5, help="epochs between validations (default: %(default)s)")
    add("--lr", type=float, default=1e-3, help="of Adam (default: %(default)s)")
    add("--weight-decay", type=float, default=1e-3, help="of Adam, on all parameters (default: %(default)s)")
    add("--threads", type=int, help="threads on the CPU (default: torch's choice)")
    add("--runs", type=Path, help="folder of checkpoints: what is trained is not trained again, what stopped goes on")
    add("--out", type=Path, help="append a JSON line per measured value")
    add("--plot", type=Path, help="write quality against latency as a picture")
    arguments = parser.parse_args(argv)
    protocols: Mapping[str, str] = {"citeulike-derrd": "loo", "citeulike-td": "full"}
    arguments.protocol = arguments.protocol or protocols.get(arguments.dataset, "ratio")
    arguments.methods = list(METHODS) if arguments.methods == "all" else arguments.methods.split(",")
    if arguments.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {arguments.seeds}")
    try:
        arguments.teacher, arguments.student = _model(arguments.teacher_name), _model(arguments.student_name)
        for name in arguments.methods:
            method(name)
    except (ValueError, argparse.ArgumentTypeError) as error:
        parser.error(str(error))
    return arguments


def main(argv: list[str] | None = None) -> list[dict[str, Any]]:
    """Run, print the table, write what was asked for; returns the rows."""
    arguments = parse(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    measured = list(rows(arguments))
    title = f"{arguments.dataset}, protocol {arguments.protocol}, {arguments.seeds} seeds"
    show(measured, title)
    if arguments.out:
        write(measured, arguments.out)
    if arguments.plot:
        plot(measured, arguments.plot, title, quality=measured[0]["metric"], latency="milliseconds for 1,000 users")
    return measured


if __name__ == "__main__":
    main()
