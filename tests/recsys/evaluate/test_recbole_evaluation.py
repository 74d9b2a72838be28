"""Values are those of RecBole's own evaluation, on logs with all that logs have, for all metrics and modes."""

from __future__ import annotations

import sys

import pytest
import torch

from recsys import bridge
from recsys.evaluate import prediction_values, sampled_ranking
from recsys.evaluate.sampled import predicted_values
from recsys.tasks import Ranking
from tests.recsys.evaluate.recbole_logs import LOGS, RANKINGS, SPLITS, SPREADS, VALUES, by_recbole, load, write

pytestmark = [pytest.mark.usefixtures("recbole"), pytest.mark.filterwarnings("ignore::UserWarning")]
MODES = ["full", "uni100", "pop100", "labeled"]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    made = {}

    def folder(log):
        if log not in made:
            made[log] = tmp_path_factory.mktemp(log)
            write(made[log], log)
        return made[log]

    return folder


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # RecBole's trainer makes folders where it stands
    monkeypatch.setattr(sys, "argv", ["test"])


def check(data, model, mode):
    """All values of both phases, beyond RecBole's four digits: to those of float32, in which it sums GAUC."""
    task = Ranking(**data.task)
    for phase, part in (("valid", "val"), ("test", "test")):
        wanted, candidates = by_recbole(data, model, phase)
        if mode.startswith("pop"):  # the law alone is RecBole's: counted are its own draws
            found = counted(task, model, data.split, candidates)
        else:
            found = task.score(model, data.split, part)
        assert set(found) == set(wanted)
        for name, value in wanted.items():
            assert found[name] == pytest.approx(float(value), rel=2e-6, abs=2e-6), (phase, name)


def counted(task, model, split, candidates):
    if task.wanted[0] in map(str.lower, VALUES):
        predictions = predicted_values(model, candidates.users, candidates.items)
        return prediction_values(predictions, candidates.positive.double(), task.wanted)
    popularity = torch.bincount(split.train.events()[1], minlength=split.train.num_items)
    return sampled_ranking(model, candidates, task.wanted, popularity=popularity, ties=task.ties)


def built(data, name):
    torch.manual_seed(3)
    return bridge.recommender(data, name, {"embedding_size": 8} if name == "BPR" else None).eval()


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("log", LOGS)
def test_values_are_recboles(folder_of, elsewhere, log, split, mode):
    if mode != "labeled":
        data = load(folder_of(log), split, mode, [*RANKINGS, *SPREADS])
        check(data, built(data, "BPR"), mode)
    if mode != "full":
        data = load(folder_of(log), split, mode, VALUES)
        check(data, built(data, "NeuMF"), mode)


@pytest.mark.slow
def test_a_mode_of_each_part(folder_of, elsewhere):
    data = load(folder_of("repeats"), "TO", {"valid": "uni100", "test": "full"}, [*RANKINGS, *SPREADS])
    check(data, built(data, "BPR"), "uni100")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["full", "uni100", "pop5"])
def test_what_may_be_recommended_again(folder_of, elsewhere, mode):
    data = load(folder_of("repeats"), "TO", mode, [*RANKINGS, *SPREADS], repeatable=True)
    task, model = Ranking(**data.task), built(data, "BPR")
    for phase, part in (("valid", "val"), ("test", "test")):
        wanted, candidates = by_recbole(data, model, phase)
        found = task.score(model, data.split, part) if mode == "full" else counted(task, model, data.split, candidates)
        for name, value in wanted.items():
            assert found[name] == pytest.approx(float(value), rel=2e-6, abs=2e-6), (phase, name)


@pytest.mark.slow
@pytest.mark.parametrize("tail", [0.3, 3, 1])
def test_other_tails(folder_of, elsewhere, tail):
    data = load(folder_of("plain"), "RS", "full", SPREADS, tail_ratio=tail)
    check(data, built(data, "BPR"), "full")
