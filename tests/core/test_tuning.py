"""The search for settings: chosen on validation rows, started from what is published, and gone on with after a kill."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import subprocess
import sys
import tomllib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch_geometric.nn import MLP

import graphkd
from graphkd import Clients, Tuned
from graphkd.core import search
from graphkd.core.folder import held
from graphkd.losses import KL
from tests.core.models import gcn, graph

pytest.importorskip("optuna")
ROOT = Path(__file__).parents[2]
QUICK = {"trials": 5, "epochs": 3, "seeds": 1, "finalists": 1, "progress": False}


def student(dropout: float) -> MLP:
    return MLP([6, 8, 3], dropout=dropout, norm=None)


def tuned(name="kd", data=None, **options) -> Tuned:
    return graphkd.tune(name, student, gcn(1), data or graph(), **{**QUICK, **options})


def told(found: Tuned) -> Tuned:
    """What was found, without the seconds, which differ, and the options, which are objects."""
    trials = [{name: value for name, value in row.items() if name != "seconds"} for row in found.trials]
    return replace(found, seconds=0.0, trials=trials, given={}, kept={})


@pytest.fixture(scope="module")
def whole() -> tuple[Tuned, int]:
    """What a search finds that is not broken off, and its epochs."""
    every = []
    return tuned(log=every.append), len(every)


def test_the_same_search_finds_the_same_and_leaves_the_generators_alone(whole):
    teacher, data = gcn(1), graph()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    one = graphkd.tune("kd", student, teacher, data, **QUICK)
    assert torch.equal(torch.rand(2), expected)
    assert told(one) == told(whole[0])


def test_test_labels_are_of_no_effect_on_the_choice(whole):
    poisoned = graph()
    poisoned.y[poisoned.test_mask] = (poisoned.y[poisoned.test_mask] + 1) % 3
    assert told(tuned(data=poisoned)) == told(whole[0])
    changed = graph()
    changed.y[changed.val_mask] = (changed.y[changed.val_mask] + 1) % 3
    assert told(tuned(data=changed)) != told(whole[0])


def test_the_published_setting_is_the_first_trial_and_beaten_by_nothing_worse():
    for seed in range(2):
        found = tuned(seed=seed, seeds=2, finalists=2)
        first = found.trials[0]
        assert first["setting"] == {"dropout": 0.5, "lr": 0.01, "weight_decay": 5e-4, "temperature": 4.0} | {
            "label_weight": 0.1
        }
        assert first["state"] == "complete"
        assert found.score >= found.published
        assert len(found.trials) == 5
        # which is the published training itself
        plain = partial(graphkd.distil, "kd", partial(student, 0.5), gcn(1), graph(), epochs=3, progress=False)
        assert first["score"] == plain(seed=seed).scores["val"]["accuracy"]
        again = [plain(seed=seed + place).scores["val"]["accuracy"] for place in (1, 2)]
        assert found.published == pytest.approx(sum(again) / 2)


def test_the_score_is_that_of_its_options_under_other_seeds():
    found = tuned(trials=10, epochs=9, seeds=2)
    make = partial(student, **found.setting.student)
    run = partial(graphkd.distil, "kd", make, gcn(1), graph(), progress=False, **found.options)
    scores = [run(seed=seed).scores["val"]["accuracy"] for seed in (1, 2)]
    assert found.score == pytest.approx(sum(scores) / 2)


def test_equals_leave_what_is_published_where_it_was():
    found = tuned("none", epochs=1, trials=4, start={"lr": 1e-12}, space={"lr": (1e-13, 1e-12), "dropout": [0.0]})
    assert {row["score"] for row in found.trials} == {found.trials[0]["score"]}
    assert found.setting.training["lr"] == 1e-12


def test_trials_are_cut_short_where_others_do_better():
    found = tuned(trials=12, epochs=18)
    ended = [row["epochs"] for row in found.trials]
    assert set(ended) <= {2, 6, 18}
    assert 2 in ended
    states = {row["epochs"]: set() for row in found.trials}
    for row in found.trials:
        states[row["epochs"]].add(row["state"])
    assert states[2] == {"pruned"}
    assert states[18] == {"complete"}


@pytest.mark.parametrize(
    ("scores", "mine", "is_among"),
    [
        ([], 1.0, True),
        ([2.0], 1.0, False),
        ([2.0], 2.0, True),
        ([1, 2, 3, 4, 5], 4.5, True),
        ([1, 2, 5, 6], 4.0, False),
    ],
)
def test_the_best_third_goes_on(scores, mine, is_among):
    made = search.Search.__new__(search.Search)
    trial = type("Trial", (), {})
    trials = [trial() for _ in scores]
    for each, score in zip(trials, scores, strict=True):
        each.intermediate_values = {3: score}
    made._trials = lambda: trials
    assert made._is_among_the_best(3, mine) == is_among


# ------------------------------------------------------------------ methods
@pytest.mark.parametrize("name", ["none", "label_smoothing", "defensive", "rkd", "ban"])
def test_methods_without_a_teacher_of_hidden_layers_and_of_several_stages(name):
    given = {"hidden": ("lins.0", "convs.0")} if name == "rkd" else {"generations": 2} if name == "ban" else {}
    found = tuned(name, trials=3, epochs=3, seeds=1, finalists=1, **given)
    assert found.method == name
    assert {"lr", "weight_decay", "dropout"} <= found.setting.values.keys()
    assert given.items() <= found.options.items()
    make = partial(student, **found.setting.student)
    result = graphkd.distil(name, make, gcn(1), graph(), progress=False, **found.options)
    assert result.scores["val"]["accuracy"] >= 0


def test_a_loss_a_method_of_ones_own_and_a_module_as_the_student():
    @graphkd.method("mine", family="made", published={"weight_decay": 0.0, "epochs": 4})
    def mine(problem, *, weight: float = 1.0):
        return weight * problem.soft(2.0)

    options = {**QUICK, "trials": 2, "seeds": 1, "finalists": 1, "epochs": None}
    found = graphkd.tune(mine, gcn(2), gcn(1), graph(), **options)
    assert found.epochs == 4
    assert found.setting.student == {}
    assert "epochs" not in found.options
    assert found.trials[0]["setting"] == {"lr": 0.01, "weight_decay": 0.0, "weight": 1.0}
    found = graphkd.tune(KL(2.0), gcn(2), gcn(1), graph(), **{**options, "epochs": 2})
    assert found.method == "loss"
    assert found.trials[1]["setting"].keys() == {"lr", "weight_decay"}


def test_options_pass_through_and_come_back():
    seen = []
    found = tuned(trials=1, seeds=1, patience=1, temperature=2.0, log=seen.append, epochs=30)
    assert found.options["patience"] == 1
    assert found.options["temperature"] == 2.0
    assert "log" not in found.options
    assert "temperature" not in found.trials[0]["setting"]
    assert len(seen) < 30 + 10 + 3 + 30  # patience ended them
    assert {report["stage"] for report in seen} == {"student"}


# ------------------------------------------------------------------ what goes wrong
def test_what_fails_later_is_reported_and_the_rest_goes_on(caplog, tmp_path):
    @graphkd.method("picky", family="made")
    def picky(problem, *, weight: float = 1.0):
        if weight > 1:
            raise ValueError(f"'weight' must be at most 1, got {weight}")
        return problem.supervised() + weight * problem.soft(1.0)

    with caplog.at_level(logging.WARNING):
        found = tuned(picky, trials=8, epochs=3, checkpoint=tmp_path)
    failed = [row for row in found.trials if row["state"] == "fail"]
    assert failed
    assert len(found.trials) == 8
    assert all(row["error"].startswith("ValueError: 'weight' must be at most 1") for row in failed)
    assert all(row["score"] is None for row in failed)
    assert caplog.text.count("ended without a score: ValueError") == len(failed)
    assert found.setting.method["weight"] <= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["setting.toml", "trials.journal"]
    assert told(tuned(picky, trials=8, epochs=3, checkpoint=tmp_path)) == told(found)


def test_what_fails_at_first_is_the_users_to_mend():
    with pytest.raises(ValueError, match="'rkd' needs the path of a hidden layer"):
        tuned("rkd")
    with pytest.raises(TypeError, match="'kd' has no setting 'heat'"):
        tuned(heat=3.0)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"trials": 0}, ValueError, "'trials' must be at least 1, got 0"),
        ({"seeds": 0}, ValueError, "'seeds' must be at least 1, got 0"),
        ({"finalists": 0}, ValueError, "'finalists' must be at least 1, got 0"),
        ({"resume": True}, TypeError, "has no 'resume'"),
        ({"space": {"heat": (1, 2)}}, ValueError, "'space' has ranges of what is not searched"),
        ({"name": "kdd"}, ValueError, "there is no method 'kdd'"),
    ],
)
def test_what_is_refused(options, error, said):
    with pytest.raises(error, match=said):
        tuned(**options)


def test_data_without_validation_rows_are_refused():
    data = graph()
    del data.val_mask
    with pytest.raises(ValueError, match="chosen on validation rows, and the data have none"):
        tuned(data=data)


def test_without_optuna_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install 'graphkd\[tune\]'"):
        tuned()


def test_optuna_is_imported_by_a_search_alone():
    code = "import sys, graphkd, recsys; recsys.tune; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


# ------------------------------------------------------------------ the folder
class Killer:
    """Ends a search from the log of an epoch."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, report) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", [1, 6, 12, 15])
def test_a_search_that_was_broken_off_goes_on_and_finds_the_same(tmp_path, whole, at):
    counted = []
    with pytest.raises(KeyboardInterrupt):
        tuned(checkpoint=tmp_path, log=Killer(at), save_every=1)
    found = tuned(checkpoint=tmp_path, log=counted.append, save_every=1)
    assert told(found) == told(whole[0])
    assert len(counted) <= whole[1] - at + 1  # what was trained is not trained again
    assert tuned(checkpoint=tmp_path, log=counted.append).seconds == found.seconds
    assert sorted(path.name for path in tmp_path.iterdir()) == ["setting.toml", "trials.journal"]


def test_a_search_may_have_more_trials_later_or_less(tmp_path, whole):
    few = tuned(trials=3)
    assert told(tuned(trials=3, checkpoint=tmp_path)) == told(few)
    assert told(tuned(checkpoint=tmp_path)) == told(whole[0])
    assert told(tuned(trials=3, checkpoint=tmp_path)) == told(few)


def test_a_folder_of_another_search_is_refused_by_name_of_what_differs(tmp_path):
    tuned(trials=1, seeds=1, checkpoint=tmp_path)
    data = graph()
    data.x = data.x + 1
    for options, said in (
        ({"epochs": 2}, "epochs was 3, is 2"),
        ({"name": "none"}, "method was kd, is none"),
        ({"space": {"temperature": (1.0, 2.0)}}, r"ranges.temperature was \[0.13.*is \[1.0, 2.0\]"),
        ({"start": {"temperature": 2.0}}, "start.temperature was 4.0, is 2.0"),
        ({"data": data}, "data was Data .*, is Data"),
        ({"patience": 3}, "options.patience was None, is 3"),
    ):
        with pytest.raises(ValueError, match=f"holds another search: .*{said}"):
            tuned(**{"trials": 1, "seeds": 1, "checkpoint": tmp_path, **options})


def test_a_folder_is_one_searchs_at_a_time(tmp_path):
    with held(tmp_path), pytest.raises(ValueError, match="is another's that runs now in process"):
        tuned(checkpoint=tmp_path)


def test_a_line_that_a_killed_process_left_half_written_is_dropped(tmp_path, whole):
    tuned(checkpoint=tmp_path)
    journal = tmp_path / "trials.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:9]) + lines[9][:5])
    (tmp_path / "trials.journal.lock").symlink_to(journal)
    assert told(tuned(checkpoint=tmp_path)) == told(whole[0])
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_the_setting_is_written_as_a_table_with_all_digits(tmp_path):
    found = tuned(checkpoint=tmp_path, trials=2, hidden="convs.0", patience=2, label_weight=0.25)
    text = (tmp_path / "setting.toml").read_text()
    assert text == found.toml()
    assert text.startswith(f"# validation {found.score:.4f}, of the first setting {found.published:.4f}, means of 1")
    table = tomllib.loads(text)
    assert table == {"kd": {"patience": 2, "label_weight": 0.25, "epochs": 3, **found.setting.values}}


def test_text_lists_and_truth_have_their_form_in_toml():
    given = {"kind": 'a "b" ü', "deep": True, "paths": ("a", "b"), "pair": [1, 0.5], "call": print, "none": None}
    setting = graphkd.core.space.Setting(method={"weight": 1e-7})
    found = Tuned("made", setting, 0.5, 0.25, 3, 200, [], 1.0, kept=given)
    want = {"kind": 'a "b" ü', "deep": True, "paths": ["a", "b"], "pair": [1, 0.5], "weight": 1e-7}
    assert tomllib.loads(found.toml()) == {"made": want}


def test_progress_is_a_line_a_trial_where_there_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr("graphkd.core.trials._PATIENT", -1.0)
    tuned(trials=2, seeds=1, finalists=1, progress=None)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("tune kd: trial 1 of 2: 0.")
    assert "after 3 of 3 epochs, best 0." in lines[0]
    assert "trial 1 again, 1 seeds: 0." in lines[2]
    tuned(trials=2, seeds=1, finalists=1, progress=False)
    assert capsys.readouterr().err == ""


def test_federated_methods_are_searched_too():
    found = graphkd.tune(
        "fedavg", gcn(2), None, Clients([graph(), graph()]), rounds=1, **{**QUICK, "trials": 2, "epochs": 1}
    )
    assert found.method == "fedavg"


SCRIPT = """
import os, signal, sys, torch
from tests.core.test_tuning import Killer, told, tuned
torch.set_num_threads(1)
left = int(sys.argv[2])
def log(report):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
print(told(tuned(checkpoint=sys.argv[1], log=log, save_every=1)))
"""


@pytest.mark.slow
def test_a_process_that_was_killed_is_gone_on_with_by_the_next_one(tmp_path):
    def run(folder: Path, at: int) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", SCRIPT, str(folder), str(at)]
        quiet = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=ROOT, env=quiet, check=False, capture_output=True, text=True)

    whole = run(tmp_path / "whole", 0)
    assert whole.returncode == 0, whole.stderr
    for at in (7, 3, 6):
        assert run(tmp_path / "killed", at).returncode == -signal.SIGKILL
    assert run(tmp_path / "killed", 0).stdout == whole.stdout


def test_every_second_of_the_first_trials_is_near_the_start():
    found = tuned(trials=9, epochs=1, seeds=1, space={"dropout": [0.0]})
    first, *others = (row["setting"] for row in found.trials)
    far = [max(abs(math.log(each[name] / first[name])) for name in ("lr", "weight_decay")) for each in others[:7]]
    assert max(far[::2]) <= math.log(5) + 1e-9
    assert max(far[1::2]) > math.log(5)
