"""The bandit: progress on each task, step by step, and what a curriculum gives the student."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

import graphkd
from graphkd import Cached, Distiller, Frozen, fit
from graphkd.core import checkpoint
from graphkd.core.batches import changed
from graphkd.losses import KL
from graphkd.schemes import (
    Curriculum,
    NaiveProgress,
    OnlineProgress,
    SamplingProgress,
    WindowProgress,
    boltzmann,
    epsilon_greedy,
)
from graphkd.schemes.teachers._progress import slope
from tests.core.models import gcn, graph
from tests.schemes.runs import resumes

SCORES = torch.tensor([[0.1, 0.5], [0.4, 0.5], [0.5, 0.2], [0.9, 0.1], [1.0, 0.4]], dtype=torch.float64)
NAN = float("nan")


def run(progress, scores=SCORES):
    values = [progress.values().tolist()]
    for row in scores:
        progress.observe(row)
        values.append(progress.values().tolist())
    return values


def line(times, scores):
    """Slope by the normal equations."""
    n, sum_t, sum_s = len(times), sum(times), sum(scores)
    products, squares = sum(t * s for t, s in zip(times, scores, strict=True)), sum(t * t for t in times)
    return (n * products - sum_t * sum_s) / (n * squares - sum_t**2)


def test_slope():
    assert slope([0, 1, 5], [1.0, 0.0, 3.0]) == pytest.approx(line([0, 1, 5], [1.0, 0.0, 3.0]))
    assert slope([3], [0.2]) == 1.0


def test_online():
    q, before, want = [0.0, 0.0], [0.0, 0.0], [[0.0, 0.0]]
    for row in SCORES.tolist():
        q = [q[k] + 0.2 * (row[k] - before[k] - q[k]) for k in range(2)]
        before = row
        want.append(q)
    assert run(OnlineProgress(2, 0.2)) == [pytest.approx(row) for row in want]


def test_naive_waits_for_a_window():
    got = run(NaiveProgress(2, 0.5, 2))
    first = [0.5 * line([0, 1], SCORES[:2, k].tolist()) for k in range(2)]
    second = [0.5 * first[k] + 0.5 * line([0, 1], SCORES[2:4, k].tolist()) for k in range(2)]
    for row, want in zip(got, [[0, 0], [0, 0], first, first, second, second], strict=True):
        assert row == pytest.approx(want)


def test_window_takes_the_last_scores_at_their_times():
    got = run(WindowProgress(2, 3))
    assert got[0] == [1.0, 1.0]
    for t in range(2, 6):
        times = list(range(max(0, t - 3), t))
        assert got[t] == pytest.approx([line(times, SCORES[times, k].tolist()) for k in range(2)])
    gaps = run(WindowProgress(2, 3), torch.tensor([[0.0, 1.0], [NAN, 1.0], [NAN, 1.0], [0.6, 1.0]]))
    assert gaps[-1] == pytest.approx([0.2, 0.0])


def test_sampling():
    changes = torch.diff(SCORES, dim=0, prepend=torch.zeros(1, 2))
    got = run(SamplingProgress(2, 2))
    assert got[0] == [1.0, 1.0]
    for t in range(1, 6):
        assert got[t] == pytest.approx(changes[max(0, t - 2) : t].mean(dim=0).tolist())
    drawn = SamplingProgress(2, 5, thompson=True)
    run(drawn)
    torch.manual_seed(0)
    rows = torch.stack([drawn.values() for _ in range(200)])
    for k in range(2):
        assert set(rows[:, k].tolist()) == set(changes[:, k].tolist())


def test_a_task_without_a_score_has_not_changed():
    progress = OnlineProgress(2, 1.0)
    run(progress, torch.tensor([[0.5, 0.5], [NAN, 0.7], [0.8, 0.7]]))
    assert progress.values().tolist() == pytest.approx([0.3, 0.0])


def test_policies():
    values = torch.tensor([0.1, 0.4, 0.4], dtype=torch.float64)
    total = sum(math.exp(v / 0.2) for v in values.tolist())
    assert boltzmann(values, 0.2).tolist() == pytest.approx([math.exp(v / 0.2) / total for v in values.tolist()])
    torch.manual_seed(0)
    found = {tuple(round(p, 9) for p in epsilon_greedy(values, 0.3).tolist()) for _ in range(40)}
    assert found == {(0.1, 0.8, 0.1), (0.1, 0.1, 0.8)}


def test_a_curriculum_draws_the_task_that_changes_most():
    scores = iter(torch.tensor([[0.0, 0.0], [0.0, 0.5], [0.1, 0.5], [0.1, 0.5]], dtype=torch.float64))

    def best(values):
        return torch.nn.functional.one_hot(values.argmax(), 2).double()

    source = Curriculum(["a", "b"], lambda: next(scores), progress=SamplingProgress(2, 1), policy=best, steps=3)
    assert list(source) == ["a"] * 3
    assert list(source) == ["a"] * 3  # nothing has changed
    assert list(source) == ["b"] * 3
    assert list(source) == ["a"] * 3
    with pytest.raises(ValueError, match="'tasks' must hold one at least"):
        Curriculum([], lambda: torch.zeros(0))


def test_a_student_learns_by_it():
    data, teacher, student = graph(), gcn(1), gcn(2)
    want = Cached(teacher, data)(data)["logits"].argmax(dim=1)
    parts = [torch.arange(30) % 2 == k for k in range(2)]

    def score():
        agree = (student(data.x, data.edge_index).argmax(dim=1) == want).double()
        return torch.stack([agree[part].mean() for part in parts])

    before = score()
    tasks = [changed(data, task=part) for part in parts]
    fit(Distiller(student, Cached(teacher, data), KL(where="task")), Curriculum(tasks, score, steps=2), epochs=20)
    assert score().mean() > before.mean()


# ---------------------------------------------------------------- state
@pytest.mark.parametrize(
    "make",
    [
        lambda: OnlineProgress(2, 0.2),
        lambda: NaiveProgress(2, 0.5, 2),
        lambda: WindowProgress(2, 3),
        lambda: SamplingProgress(2, 2),
    ],
)
def test_progress_goes_on_where_it_was(make, tmp_path):
    one, other = make(), make()
    run(one, SCORES[:3])
    checkpoint.save(one.state_dict(), tmp_path / "state.pt")
    want = run(one, SCORES[3:])
    other.load_state_dict(checkpoint.load(tmp_path / "state.pt"))
    assert run(other, SCORES[3:]) == want


def test_what_is_observed_later_is_not_in_an_earlier_state():
    progress = NaiveProgress(2, 0.5, 3)
    progress.observe(SCORES[0])
    state = progress.state_dict()
    progress.observe(SCORES[1])
    assert state["scores"] == [[0.1], [0.5]]


def test_a_curriculum_passes_epochs_and_state_to_its_tasks():
    class Loader(list):
        epoch = 0

        def set_epoch(self, epoch, _):
            self.epoch = epoch

        def state_dict(self):
            return {"epoch": self.epoch}

        def load_state_dict(self, state):
            self.epoch = state["epoch"]

    one, other = (Curriculum([Loader("ab"), {"x": 1}], lambda: torch.zeros(2)) for _ in range(2))
    one.set_epoch(3, 9)
    assert one.tasks[0].epoch == 3
    list(one)
    other.load_state_dict(one.state_dict())
    assert other.tasks[0].epoch == 3
    assert torch.equal(other.probabilities, one.probabilities)


def test_a_broken_run_goes_on_with_what_the_bandit_knows(tmp_path):
    resumes("tscl", tmp_path, epochs=6)


# ---------------------------------------------------------------- the method
def watched(**settings):
    """Masks of the tasks that were trained on, epoch by epoch."""
    from graphkd.schemes.teachers import tscl

    seen = []

    class Watched(Curriculum):
        def __iter__(self):
            for batch in super().__iter__():
                seen.append(batch.task)
                yield batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tscl, "Curriculum", Watched)
        graphkd.distil("tscl", gcn(2), gcn(1), graph(), **settings)
    return seen


def test_tasks_are_quarters_by_certainty():
    sure = Frozen(gcn(1))(graph())["logits"].softmax(dim=1).amax(dim=1)
    seen = {tuple(mask.tolist()) for mask in watched(epochs=20, steps=3)}
    assert len(seen) == 4
    masks = sorted((torch.tensor(mask) for mask in seen), key=lambda mask: float(sure[mask].mean()))
    assert [int(mask.sum()) for mask in masks] == [8, 7, 8, 7]
    assert all(sure[one].max() <= sure[other].min() for one, other in pairwise(masks))


def test_parts_of_one_s_own():
    parts = torch.arange(30) % 2
    seen = watched(epochs=10, parts=parts)
    assert len(seen) == 10
    assert all(torch.equal(mask, parts == int(parts[mask][0])) for mask in seen)
