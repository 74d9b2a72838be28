"""Six seeded logs in RecBole's format, and what RecBole's own loaders and evaluator make of a model on them."""

from __future__ import annotations

import random
import warnings

import numpy as np
import torch

from recsys import bridge
from recsys._repairs import repaired
from recsys.evaluate import Candidates

LOGS = ("plain", "repeats", "seconds", "texts", "cold", "heavy")
SPLITS = {
    "RS": {"split": {"RS": [0.7, 0.1, 0.2]}, "order": "RO", "group_by": "user"},
    "TO": {"split": {"RS": [0.7, 0.1, 0.2]}, "order": "TO", "group_by": "user"},
    "LS": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"},
}
ODD = ("NA", "null", "None", "nan", "TRUE", "1e3", "007", "é", "a b", "#1")
RANKINGS = ["Recall", "MRR", "NDCG", "Hit", "MAP", "Precision", "GAUC"]
SPREADS = ["ItemCoverage", "AveragePopularity", "ShannonEntropy", "GiniIndex", "TailPercentage"]
VALUES = ["AUC", "LogLoss", "MAE", "RMSE"]


def write(folder, kind):
    """A log of some users and items; seeded."""
    chance = random.Random(kind)
    users, items, step = 30, 45, 7 if kind == "seconds" else 86_400
    rows = []
    for user in range(users):
        number = 38 if kind == "heavy" and user < 3 else chance.randrange(3, 16)
        known = []
        for place in range(number):
            if kind == "repeats" and known and chance.random() < 0.4:
                item = chance.choice(known)
            elif kind == "cold" and place >= number - 2:
                item = items + chance.randrange(12)  # which come last alone
            else:
                item = min(int(chance.paretovariate(0.6)), items) - 1
                while item in known and kind != "repeats":
                    item = chance.randrange(items + 12 * (kind == "cold"))
            known.append(item)
            rows.append((user, item, chance.randrange(1, 6), 1_700_000_000 + step * place))
    names = [ODD[each] if kind == "texts" and each < len(ODD) else f"i{each}" for each in range(items + 12)]
    lines = [f"u{user}\t{names[item]}\t{rating}\t{time}" for user, item, rating, time in rows]
    chance.shuffle(lines)
    (folder / "log").mkdir()
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    (folder / "log" / "log.inter").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")


def load(folder, split, mode, metrics, **options):
    return bridge.load(
        "log",
        options={
            "data_path": str(folder),
            "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
            "threshold": {"rating": 3},
            "eval_args": {**SPLITS[split], "mode": mode},
            "metrics": metrics,
            "valid_metric": metrics[0] if metrics[0] in VALUES else f"{metrics[0]}@5",
            "topk": [1, 5, 20],
            "metric_decimal_place": 12,
            "eval_batch_size": 20_000,
            "seed": 11,
            **options,
        },
    )


def loaders_of(data):
    from recbole.data.utils import create_samplers, get_dataloader

    config, phases = data.config, ("train", "valid", "test")
    samplers = create_samplers(config, data.dataset, list(data.parts))
    return {
        phase: get_dataloader(config, phase)(config, part, sampler)
        for phase, part, sampler in zip(phases, data.parts, samplers, strict=True)
    }


def by_recbole(data, model, phase):
    """RecBole's values, its uniform and popular draws from numpy's generator of the data's seed; and these draws."""
    with repaired(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from recbole.trainer import Trainer

        loaders = loaders_of(data)
        trainer = Trainer(data.config, model.model)
        trainer.eval_collector.data_collect(loaders["train"])
        _mend(trainer.eval_collector.data_struct)
        np.random.seed(data.config["seed"])  # noqa: NPY002 - RecBole draws from it
        values = trainer.evaluate(loaders[phase], load_best_model=False)
        np.random.seed(data.config["seed"])  # noqa: NPY002
        return values, drawn(loaders[phase], data)


class Number(int):
    """A number of which RecBole 1.2.1's collector may ask for a copy on the CPU, as it does of all that it has."""

    def cpu(self):
        return self


class Counts(dict):
    """Counts, likewise."""

    def cpu(self):
        return self


def _mend(struct):
    """So that RecBole can measure coverage, Gini's index, popularity and tails at all."""
    kinds = {"data.num_items": Number, "data.count_items": Counts}
    for key, kind in kinds.items():
        if key in struct:
            struct.set(key, kind(struct.get(key)))


def drawn(loader, data):
    """The candidates of a loader that draws some."""
    parts = []
    for rows, index, people, items in loader:
        if index is None or isinstance(index, tuple):
            return None
        size = data.split.train.num_items
        held = torch.isin(index * size + rows["item_id"], people * size + items)
        parts.append((rows["user_id"], rows["item_id"], held))
    return Candidates(*(torch.cat(column) for column in zip(*parts, strict=True)))
