"""What is measured of a graph, or of tables of items: series of queries, each of all forms in turn; and memory."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from benchmarks.rows import Row
from benchmarks.runs import Job, Place, digest
from benchmarks.runs import plain as worded
from benchmarks.serve import memory, recommenders
from benchmarks.serve.figures import figures
from benchmarks.serve.forms import EAGER, LAYERS, Entry, compared, entries, plain, quality, size_of
from benchmarks.serve.graphs import Numbers
from benchmarks.serve.protocol import Draws, Flush, Plan, Times, all_threads, closed, on_threads, opened
from benchmarks.serve.scenes import Scene
from graphkd.serving import Form

MEMORY = "memory"
LOADS = (0.5, 0.8)  # of what a form can do, in open loops
_EDGES = 4_000_000  # of one query, whose messages would be 2 GB: such a form is left out
_CHECKED, _FEW, _LARGE = 64, 2, 200_000  # nodes that answers are compared on; of graphs with more nodes, a few
_QUICK = {"mlp-2": (EAGER,), "mlp-2 numpy": (EAGER,), "sage-2": (LAYERS, "hidden layer kept, 1 hop", "answers kept")}
_MEMORY_QUERIES = 100


@dataclass(frozen=True)
class Series:
    """Queries of one kind; load: None in a closed loop."""

    batch: int
    threads: int = 1
    draws: str = "uniform"
    cache: str = "hot"
    load: float | None = None

    @property
    def label(self) -> str:
        """What it is but for batch and threads."""
        arrivals = "closed loop" if self.load is None else f"open loop at {100 * self.load:g} %"
        return f"{arrivals}, {self.draws}, {self.cache}"

    def plan(self, arguments: Namespace) -> Plan:
        """As many queries as were asked for of single nodes that wait for nobody, a tenth of others."""
        many = self.batch == 1 and self.load is None and self.cache == "hot"
        return Plan(arguments.queries if many else max(arguments.queries // 10, 1), arguments.seconds)


def series_of(batches: Sequence[int], *, quick: bool) -> list[Series]:
    """Each batch uniform and hot; single nodes cold and as they arrive, some by degree; and again on all threads."""
    found = [Series(batch) for batch in batches]
    found += [Series(batch, draws="by degree") for batch in batches if batch in ((1,) if quick else (1, 32))]
    if 1 in batches:
        found += [Series(1, cache="cold"), *(Series(1, load=load) for load in LOADS)]
    if not quick and all_threads() > 1:
        found += [Series(batch, threads=all_threads()) for batch in batches]
    return found


class Measure(Job):
    """A job whose folder is named after what is measured."""

    def folder(self, root: Path) -> Path:
        """Of its rows."""
        about = self.about
        name = "-".join(worded(about[key]) for key in ("method", "batch", "threads") if key in about)
        return root / worded(about["dataset"]) / f"{name}-{digest(about)}"


class Ready(NamedTuple):
    """A form, and what its rows say of it."""

    entry: Entry
    form: Form
    facts: Row


def about(arguments: Namespace, dataset: str, one: Series | None, *more: str) -> Row:
    """What leads all rows of a job, and names its folder."""
    names = ("queries", "seconds", *more)
    options = {name: getattr(arguments, name) for name in names}
    found = {"dataset": dataset, "method": MEMORY if one is None else one.label, "seed": arguments.seed}
    return found | ({"batch": one.batch, "threads": one.threads} if one else {}) | {"options": options}


class OfGraph:
    """A graph's jobs; its scene and forms are made when the first of them runs."""

    def __init__(self, name: str, arguments: Namespace, folder: Path) -> None:
        self.name, self.arguments, self.folder = name, arguments, folder
        self._scene: Scene | None = None
        self._ready: dict[int, list[Ready]] = {}
        self._facts: dict[str, Row] = {}

    def jobs(self, *, with_memory: bool) -> Iterator[Job]:
        """All series, then memory."""
        given = self.arguments
        for one in series_of(given.batches, quick=given.quick):
            known = about(given, self.name, one, "epochs", "scenarios")
            yield Measure(known, partial(self.timed, one))
        if with_memory:
            yield Measure(about(given, self.name, None, "epochs", "scenarios", "quick"), self.memory)

    def scene(self, place: Place) -> Scene:
        """The graph and its models."""
        if self._scene is None:
            given, folder = self.arguments, self.folder / self.name
            folder.mkdir(parents=True, exist_ok=True)
            self._scene = Scene(self.name, given.seed, given.epochs, place, folder, given.runs)
        return self._scene

    def ready(self, place: Place, threads: int) -> list[Ready]:
        """Forms for so many threads, checked; a line is printed for what is left out."""
        if threads not in self._ready:
            scene, asked = self.scene(place), self.arguments.scenarios
            references: dict[str, Tensor] = {}
            wanted = [entry for entry in entries() if entry.scenario in asked]
            made = [self._made(entry, scene, threads, references) for entry in wanted]
            self._ready[threads] = [each for each in made if each is not None]
        return self._ready[threads]

    def _made(self, entry: Entry, scene: Scene, threads: int, references: dict[str, Tensor]) -> Ready | None:
        began = time.perf_counter()
        try:
            form = entry.make(scene, threads)
        except ImportError as error:
            print(f"left out: {self.name}, {entry.name}: {error}")
            return None
        if entry.name not in self._facts:
            facts: Row = {"nodes": len(scene.x), "build_seconds": time.perf_counter() - began}
            ids, model = self._checked(scene), plain(entry.model)
            if model not in references:
                references[model] = scene.reference(model, ids)
            facts |= compared(entry, form, references[model], ids)
            self._facts[entry.name] = {**facts, "metric": "accuracy", "value": quality(entry, form, scene)}
        return Ready(entry, form, self._facts[entry.name])

    @staticmethod
    def _checked(scene: Scene) -> Numbers:
        """Nodes that answers are compared on: of a large graph those with the smallest neighbourhoods."""
        if len(scene.x) <= _LARGE:
            return scene.held_out[:_CHECKED]
        return scene.held_out[scene.graph.degrees(scene.held_out).argsort(kind="stable")[:_FEW]]

    def timed(self, one: Series, place: Place) -> Iterator[Row]:
        """Rows of a series."""
        with on_threads(one.threads):
            ready, scene = self.ready(place, one.threads), self.scene(place)
            ids = scene.held_out
            if one.batch > len(ids):
                print(f"left out: {self.name}, batches of {one.batch}: it has {len(ids)} nodes that are held out")
                return
            weights = None if one.draws == "uniform" else scene.graph.degrees(ids) + 1.0
            known = {each.entry.name: each for each in ready if self._fits(each, one, ids)}
            forms = {name: each.form for name, each in known.items()}
            found = times_of(forms, one, partial(Draws, ids, one.batch, weights=weights), self.arguments, size_of)
        for name in known.keys() - found.keys():
            print(f"left out: {self.name}, {name}, batch {one.batch}: a query takes more than --seconds")
        for name, times in found.items():
            leading = {**known[name].entry.about(), **known[name].facts}
            yield from ({**leading, **row} for row in figures(times, one.batch, one.threads))

    def _fits(self, each: Ready, one: Series, ids: Numbers) -> bool:
        (query,) = Draws(ids, one.batch, self.arguments.seed)(1)
        edges = each.form.reach(each.form.gather(query))
        if edges > _EDGES:
            print(f"left out: {self.name}, {each.entry.name}, batch {one.batch}: a query would gather {edges:,} edges")
        return edges <= _EDGES

    def memory(self, place: Place) -> Iterator[Row]:
        """Rows of memory, one a form, each measured in a process of its own, for queries of 32 nodes."""
        if not memory.available():
            print(f"left out: {self.name}, memory: this system does not say in /proc what a process holds")
            return
        ready, scene = self.ready(place, 1), self.scene(place)
        scene.save()
        batch = min(32, len(scene.held_out))
        for each in ready:
            if self.arguments.quick and each.entry.fetch not in _QUICK.get(each.entry.model, ()):
                continue
            found = memory.measured(each.entry, scene, batch, min(self.arguments.queries, _MEMORY_QUERIES))
            timed = dict.fromkeys(("percentile", "milliseconds", "queries_per_second"))
            yield {**each.entry.about(), **each.facts, "batch": batch, "threads": 1, **timed, **found}


class OfItems:
    """The jobs of tables of so many items, all widths in turn."""

    def __init__(self, items: int, arguments: Namespace) -> None:
        self.items, self.arguments = items, arguments
        self._ready: list[tuple[recommenders.Served, Row]] = []

    def jobs(self) -> Iterator[Job]:
        """Single users, and 32."""
        for batch in self.arguments.batches:
            if batch in (1, 32):
                one = Series(batch)
                yield Measure(about(self.arguments, f"items-{self.items}", one, "widths"), partial(self.timed, one))

    def ready(self) -> list[tuple[recommenders.Served, Row]]:
        """Forms over all tables, with the recall of each."""
        if not self._ready:
            found = []
            for width in self.arguments.widths:
                tables = recommenders.made_up(self.items, width, self.arguments.seed)
                for each in recommenders.served(tables):
                    value = recommenders.recalled(each, tables)
                    found.append((each, {"metric": f"recall@{recommenders.K}", "value": value}))
            self._ready = found
        return self._ready

    def timed(self, one: Series, _: Place) -> Iterator[Row]:
        """Rows of a series."""
        with on_threads(one.threads):
            known = {f"{each.width} {each.fetch}": (each, told) for each, told in self.ready()}
            forms = {name: each.form for name, (each, _) in known.items()}
            draws = partial(Draws, np.arange(recommenders.USERS), one.batch)
            found = times_of(forms, one, draws, self.arguments, lambda given: (len(given), given.nbytes))
        for name, times in found.items():
            each, told = known[name]
            leading = {**each.about(self.items), **told}
            yield from ({**leading, **row} for row in figures(times, one.batch, one.threads))


def times_of(
    forms: Mapping[str, Form], one: Series, draws: Any, arguments: Namespace, size: Any
) -> Mapping[str, Times]:
    """Time forms on one series of queries; ``draws``: a seed -> queries."""
    plan = one.plan(arguments)
    if one.load is not None:  # each form alone, at the rate that it can do
        load = one.load
        return {name: opened(form, draws(arguments.seed), plan, load, arguments.seed) for name, form in forms.items()}
    return closed(forms, draws(arguments.seed), plan, size, Flush() if one.cache == "cold" else None)
