"""The benchmark of ranking costs: its plain forms are the same methods, its figures are what they are called."""

import json
import time
from dataclasses import replace
from functools import partial

import pytest
import torch

from benchmarks import ranking_costs
from benchmarks.measure import CLOCKS
from benchmarks.ranking import epochs
from benchmarks.ranking.cases import OPS, BriefTraining, Case, Setup, planned
from benchmarks.ranking.models import Data
from benchmarks.ranking.plain_forms import (
    PlainDE,
    PlainHTD,
    ftd_all_pairs,
    htd_all_pairs,
    rrd_lists,
    uninteresting_mask,
    unkd_pairs,
)
from datasets.recommenders import skewed
from recsys import Split
from recsys.data.sampling import rank_log_weights
from recsys.losses import DE, HTD
from recsys.losses.ftd import ftd
from recsys.losses.htd import htd
from recsys.models import MF, Tables
from recsys.models.rankings import top_items
from recsys.sources.unkd import GroupLists
from tests.recsys.laws import as_sets, assert_law, count_subsets, subset_law, toy

USERS, ITEMS, ROWS = 9, 12, 20
FORMS = {"de": (DE, PlainDE), "htd": (HTD.authors, PlainHTD)}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A generated set, narrow models, small batches; the number of threads stays what it was."""
    split = skewed(num_users=300, num_items=240, pairs_per_user=8, seed=0)
    monkeypatch.setattr(ranking_costs, "load_interactions", lambda *_, **__: split)
    for name, value in (("STUDENT", 4), ("TEACHER", 24), ("BATCH_SIZE", 64), ("EXPERTS", 5)):
        monkeypatch.setattr(f"benchmarks.ranking.cases.{name}", value)
    threads = torch.get_num_threads()
    yield split.train
    torch.set_num_threads(threads)


def wide(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def value_and_gradients(value, leaves):
    return [value, *torch.autograd.grad(value, leaves)]


# ---------------------------------------------------------------- the plain forms
@pytest.mark.parametrize("temperature", [1.0, 0.1, 1e-10])
@pytest.mark.parametrize("experts_last", [True, False])
@pytest.mark.parametrize("name", FORMS)
def test_routed_losses_equal_their_plain_forms(name, experts_last, temperature):
    torch.manual_seed(1)
    form, plain_form = FORMS[name]
    ours = form(3, 6, 5, temperature=temperature).double()
    plain = plain_form(3, 6, 5, temperature=temperature, experts_last=experts_last).double()
    plain.load_state_dict(ours.state_dict())
    student = [wide(rows, 3).requires_grad_() for rows in (USERS, ITEMS)]
    teacher = wide(USERS, 6), wide(ITEMS, 6)
    facts = {
        "users": torch.randint(USERS, (ROWS,)),
        "positives": torch.randint(6, (ROWS,)),
        "negatives": torch.randint(6, 12, (ROWS,)),
    }
    distinct = {key: ids.unique() for key, ids in facts.items()}
    distinct["items"] = torch.cat([facts["positives"], facts["negatives"]]).unique()
    gumbel = {key: wide(len(ids), 5) for key, ids in distinct.items()}
    found = [
        value_and_gradients(loss(tuple(student), teacher, **facts, gumbel=gumbel), [*student, *loss.parameters()])
        for loss in (ours, plain)
    ]
    assert found[0][0] > 1
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


def test_topologies_equal_their_plain_forms():
    torch.manual_seed(2)
    student, teacher, groups = wide(ROWS, 3).requires_grad_(), wide(ROWS, 6), torch.randint(5, (ROWS,)) + 2
    authors = partial(htd, groups=groups, positive_only=True, prototype_grad=False)
    for ours, plain in ((ftd, ftd_all_pairs), (authors, partial(htd_all_pairs, groups=groups))):
        found = [value_and_gradients(form(student, teacher), [student]) for form in (ours, plain)]
        for got, want in zip(*found, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    (gradient,) = torch.autograd.grad(ftd(student, teacher, teacher_term=False), student)
    torch.testing.assert_close(gradient, torch.autograd.grad(ftd_all_pairs(student, teacher), student)[0])


def test_plain_lists_of_rrd_follow_its_law():
    torch.manual_seed(3)
    pairs, rows = toy(num_users=4, num_items=12, pairs=8), 2000
    top = top_items(MF(4, 12, 3, std=1.0), pairs, 4)
    mask = uninteresting_mask(top, pairs)
    law = subset_law(rank_log_weights(4, 2.0).exp(), 2)
    for user, taken in enumerate(as_sets(pairs)):
        listed = top[user].tolist()
        left = [item for item in range(12) if item not in taken | set(listed)]
        assert mask[user].nonzero().squeeze(1).tolist() == left
        interesting, uninteresting = rrd_lists(
            top[user].expand(rows, -1), mask[user].expand(rows, -1), k=2, l=1, scale=2.0
        )
        positions = (interesting[:, :, None] == top[user]).long().argmax(dim=2)
        assert_law(count_subsets(positions, law), list(law.values()))
        assert_law(torch.bincount(uninteresting.squeeze(1), minlength=12)[left], [1 / len(left)] * len(left))
        assert mask[user][uninteresting].all()


@pytest.mark.parametrize("one_by_one", [True, False])
def test_plain_pairs_of_unkd_follow_its_law(one_by_one):
    torch.manual_seed(4)
    items = torch.tensor([[[7, 5, 3], [4, 9, 4], [8, 8, 8]]], dtype=torch.int32)
    lists = GroupLists(items, torch.tensor([[3, 2, 1]]))
    better, worse = unkd_pairs(lists, [1, 2, 1], [0] * 1000, scale=3.0, one_by_one=one_by_one)
    assert better.shape == worse.shape == (1000, 4)
    p = rank_log_weights(3, 3.0).exp().double()
    law = {(a, b): float(p[a] * p[b]) for a in range(3) for b in range(a + 1, 3)}
    order = items[0, 0].tolist()
    drawn = [(order.index(a), order.index(b)) for a, b in zip(better[:, 0].tolist(), worse[:, 0].tolist(), strict=True)]
    assert_law([drawn.count(pair) for pair in law], list(law.values()))
    assert set(drawn) <= set(law)
    assert (better[:, 1:3] == 4).all()
    assert (worse[:, 1:3] == 9).all()
    assert (better[:, 3] == 8).all()
    assert (worse[:, 3] == 8).all()


# ---------------------------------------------------------------- the figures
def test_file_and_table(tmp_path, capsys):
    out = tmp_path / "costs.jsonl"
    ranking_costs.main(["--batches", "2", "--repeats", "2", "--threads", "1", "--out", str(out)])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {row["op"] for row in rows} == set(OPS)
    ours, plain = ([row for row in rows if row["provider"] == side] for side in ("ours", "plain"))
    assert len(ours) == len(plain) == 15
    for one, other in zip(ours, plain, strict=True):
        assert (one["op"], one["setting"]) == (other["op"], other["setting"])
        assert other["speed_up"] == pytest.approx(other["seconds"] / one["seconds"])
        assert other["lowest"] <= other["highest"]
        assert (one["rounds"], one["dataset"], one["users"]) == (2, "citeulike-derrd", 300)
    printed = capsys.readouterr().out
    assert all(word in printed for word in (*OPS, "teacher_term=False", "temperature 1e-10", "from 2 of"))


def test_a_case_counts_its_rounds_in_turn_but_for_the_first():
    calls, seconds = [], iter([9.0, 9.0, 1.0, 8.0, 2.0, 4.0, 3.0, 60.0])

    def side(name):
        calls.append(name)
        return next(seconds)

    case = Case("op", "", 10.0, partial(side, "ours"), partial(side, "plain"))
    measured = ranking_costs.rounds(case, 3)
    assert calls == ["ours", "plain"] * 4
    assert measured == [(1.0, 8.0), (2.0, 4.0), (3.0, 60.0)]
    ours, plain = ranking_costs.case_rows(case, measured)
    assert (ours["seconds"], plain["seconds"]) == (2.0, 8.0)
    assert (plain["speed_up"], plain["lowest"], plain["highest"]) == (4.0, 2.0, 20.0)
    assert "red" in {row.style for row in ranking_costs.ratio_table(with_facts(ours, plain)).rows}
    plain["speed_up"] = 10.0
    assert {row.style for row in ranking_costs.ratio_table(with_facts(ours, plain)).rows} == {None}


def with_facts(*rows):
    facts = {"dataset": "x", "device": "y", "threads": 1, "clock": "cpu", "teacher": "mf:2", "student": "mf:1"}
    return [{**row, **facts} for row in rows]


def test_what_needs_too_much_memory_is_said_not_run(capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.ranking.cases.uninteresting_mask", lambda *_: pytest.fail("was made"))
    (row,) = ranking_costs.main(["--only", "rrd_sampling", "--limit-gb", "1e-4", "--threads", "1"])
    assert row["refusal"].startswith("not run: needs about 0.000576 GB")
    assert "not run" in capsys.readouterr().out


def test_the_clock_can_be_that_of_the_processor(small):
    setup = Setup(small, Tables(torch.randn(300, 24), torch.randn(240, 24)), 1, CLOCKS["cpu"])
    assert setup.seconds(lambda: time.sleep(0.2))() < 0.1
    assert replace(setup, clock=CLOCKS["wall"]).seconds(lambda: time.sleep(0.01), 20)() >= 0.2


def test_an_epoch_is_its_sampling_and_all_its_batches(small, monkeypatch):
    setup = Setup(small, Tables(torch.randn(300, 24), torch.randn(240, 24)), 3)
    problem = setup.problem()
    training = BriefTraining(*planned(problem, "rrd"))
    before = problem.student.user.weight.clone()
    sampling, batch = training.begin_epoch(3)
    assert min(sampling, batch) > 0
    assert not torch.equal(problem.student.user.weight, before)
    monkeypatch.setattr(training, "begin_epoch", lambda count: (5.0, 0.5 * count))
    assert training.whole_epoch(2) == 5 + len(training.batches)


def test_the_memory_of_a_method_has_its_time_beside():
    row = ranking_costs.memory_row("rrd", "gowalla", 2, 1, 0)
    assert (row["method"], row["dataset"], row["users"], row["teacher"]) == ("rrd", "gowalla", 300, "mf:64")
    assert min(row[f"{part}_seconds"] for part in ("setup", "sampling", "batch")) > 0
    assert row["peak_memory_mb"] == pytest.approx(ranking_costs.peak_resident() / 1e6, rel=0.2)
    small, large = ({**row, "peak_memory_mb": size} for size in (5990, 6010))
    assert [line.style for line in ranking_costs.memory_table([small, large]).rows] == [None, "red"]


@pytest.mark.slow
def test_the_memory_of_a_method_is_that_of_a_process_of_its_own(capsys):
    kept = torch.ones(150_000_000)
    (row,) = ranking_costs.main(
        ["--gowalla", "--dataset", "skewed", "--methods", "none", "--batches", "1", "--threads", "1"]
    )
    assert kept.nbytes == 6e8
    assert 100e6 < row["peak_memory_mb"] * 1e6 < ranking_costs.peak_resident()
    assert ranking_costs.peak_resident() > 6e8
    assert (row["method"], row["users"]) == ("none", 2000)  # of the set itself: nothing is patched in there
    assert "peak GB" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--batches", "--repeats", "--threads"])
def test_numbers_must_be_positive(option, capsys):
    with pytest.raises(SystemExit):
        ranking_costs.main([option, "0"])
    assert f"{option} must be at least 1, got 0" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--only", "--methods"])
def test_unknown_names_list_the_known(option, capsys):
    with pytest.raises(SystemExit):
        ranking_costs.main([option, "rrd,foo"])
    message = capsys.readouterr().err
    assert "foo" in message
    assert "expected 'all' or some of" in message


def test_epochs_are_told_in_those_of_the_student_alone(small, capsys, monkeypatch):
    monkeypatch.setattr(ranking_costs.models, "load", lambda *_: Data(Split(small, small, small)))
    rows = ranking_costs.main(["--epochs", "rd,de-one-hot", "--repeats", "2"])
    assert [(row["case"], row["method"], row["epoch"]) for row in rows] == [("rd", "rd", 15), ("de-one-hot", "de", 60)]
    for row in rows:
        assert row["seconds"] == pytest.approx(sum(row[f"{phase}_seconds"] for phase in epochs.PHASES), rel=0.5)
        assert row["lowest"] <= row["ratio"] <= row["highest"]
        assert (row["threads"], row["clock"], row["teacher"], row["student"]) == (1, "cpu", "mf:64", "mf:8")
    printed = capsys.readouterr().out
    assert "de-one-hot" in printed
    assert "4.5x" in printed
    slow, quick = ({**rows[0], "ratio": ratio} for ratio in (4.6, 4.4))
    assert [line.style for line in epochs.epoch_table([slow, quick]).rows] == ["red", None]
