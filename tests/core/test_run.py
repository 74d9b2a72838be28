"""Runs: stages that are trained once, folders that go on, and what is refused."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

import graphkd
from graphkd.core import checkpoint
from graphkd.core.moving import EMA
from graphkd.losses import CE, KL, FitNet
from tests.core.models import gcn, graph


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def two_stages(problem, *, weight: float = 1.0, dropped: float = 0.0):
    """The labels, then soft targets, from one set of weights."""
    first = problem.train(problem.distiller(problem.student, None, problem.supervised()), "labels")
    drawn = torch.rand(())  # from the run's stream
    loss = weight * (1 + float(drawn)) * problem.soft(2.0)
    return problem.train(problem.distiller(problem.twin(first), problem.teacher, loss), "soft")


run = partial(graphkd.distil, epochs=3, progress=False)


def test_what_was_given_stays_and_two_runs_start_alike():
    student, teacher, data = gcn(2), gcn(1), graph()
    before = [value.clone() for value in student.state_dict().values()]
    one, other = (run(two_stages, student, teacher, data) for _ in range(2))
    assert same(one.model, other.model)
    assert all(torch.equal(a, b) for a, b in zip(student.state_dict().values(), before, strict=True))
    assert one.model is not student
    assert student.training


def test_the_random_numbers_outside_go_on_as_if_nothing_had_happened():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = torch.rand(1)
    run(two_stages, gcn(2, dropout=0.5), gcn(1), graph())
    torch.manual_seed(3)
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(first[0], expected[0])


def test_asked_beats_stage_beats_method_beats_default():
    asked = []

    @graphkd.method("one", family="made", published={"epochs": 4})
    def one(problem, *, stage=None):
        extra = {} if stage is None else {"epochs": stage}
        return problem.train(problem.distiller(problem.student, None, problem.supervised()), "a", **extra)

    def epochs(**options) -> int:
        asked.clear()
        graphkd.distil(one, gcn(2), gcn(1), graph(), progress=False, log=asked.append, **options)
        return len(asked)

    assert epochs() == 4
    assert epochs(stage=3) == 3
    assert epochs(stage=3, epochs=2) == 2


def test_two_stages_of_one_name_are_refused():
    def twice(problem):
        task = problem.distiller(problem.student, None, problem.supervised())
        problem.train(task, "a")
        return problem.train(task, "a")

    with pytest.raises(ValueError, match="two stages, or things made once, of 'twice' are named 'a'"):
        run(twice, gcn(2), None, graph())


def test_a_method_that_returns_nothing_is_refused():
    with pytest.raises(TypeError, match="'nothing' must return a Loss or a trained module, got NoneType"):
        run(graphkd.method("nothing", family="made", teacher=False)(lambda problem: None), gcn(2), None, graph())


def test_another_run_is_refused_by_name_of_what_differs(tmp_path):
    run("kd", gcn(2), gcn(1), graph(), checkpoint=tmp_path)
    for other, named in (
        ({"method": "logit_mse"}, "method was kd, is logit_mse"),
        ({"temperature": 2.0}, "settings.temperature was 4.0, is 2.0"),
        ({"seed": 1}, "seed was 0, is 1"),
        ({"teacher": gcn(5)}, "teachers was"),
        ({"student": gcn(2, width=5)}, "student was GCN of .* parameters, is GCN of"),
    ):
        given = {"method": "kd", "student": gcn(2), "teacher": gcn(1), **other}
        parts = [given.pop(name) for name in ("method", "student", "teacher")]
        with pytest.raises(ValueError, match=named):
            run(*parts, graph(), checkpoint=tmp_path, resume=True, **given)
    data = graph()
    data.x[0] += 1
    with pytest.raises(ValueError, match="data was"):
        run("kd", gcn(2), gcn(1), data, checkpoint=tmp_path, resume=True)


def test_a_folder_of_others_is_not_emptied(tmp_path):
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(ValueError, match=r"must be an empty folder or that of a run, .* holds \['thesis.tex'\]"):
        run("kd", gcn(2), gcn(1), graph(), checkpoint=tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "dear"


def test_without_resume_a_run_of_ours_begins_anew(tmp_path):
    one = run("kd", gcn(2), gcn(1), graph(), checkpoint=tmp_path)
    other = run("kd", gcn(3), gcn(1), graph(), checkpoint=tmp_path, epochs=1)
    assert not same(one.model, other.model)
    assert len(other.history) == 1


def test_resume_needs_a_folder():
    with pytest.raises(ValueError, match="'resume' needs the folder of the run: give 'checkpoint', got None"):
        run("kd", gcn(2), gcn(1), graph(), resume=True)


def test_a_finished_run_gives_the_same_again_without_training(tmp_path):
    one = run(two_stages, gcn(2), gcn(1), graph(), checkpoint=tmp_path)
    reports: list = []
    other = run(two_stages, gcn(2), gcn(1), graph(), checkpoint=tmp_path, resume=True, log=reports.append)
    assert reports == []
    assert same(one.model, other.model)
    assert one.history == other.history
    assert one.scores == other.scores


def test_a_finished_stage_keeps_its_state_only(tmp_path):
    run(two_stages, gcn(2), gcn(1), graph(), checkpoint=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-labels", "2-soft", "start.pt"]
    assert sorted(path.name for path in (tmp_path / "1-labels").iterdir()) == ["done.pt", "stage.pt"]


def test_what_is_made_once_is_made_under_a_seed_of_its_own_and_kept(tmp_path):
    made: list = []

    def method(problem):
        before = torch.rand(())
        chosen = problem.once("votes", lambda: {"rows": torch.randperm(4), "seen": made.append(1)})
        after = torch.rand(())
        problem.notes = (before, chosen["rows"], after)
        shown.append(problem.notes)
        return problem.supervised()

    shown: list = []
    for resume in (False, True):
        run(method, gcn(2), None, graph(), checkpoint=tmp_path, resume=resume)
    run(method, gcn(2), None, graph())
    assert len(made) == 2  # the resumed run read it
    for one, other in zip(shown[0], shown[1], strict=True):
        assert torch.equal(one, other)
    torch.manual_seed(0)
    assert torch.equal(torch.stack([shown[0][0], shown[0][2]]), torch.rand(2))


def test_what_is_made_once_must_be_plain():
    with pytest.raises(ValueError, match=r"'model' must be a tensor, a number, text, .* got torch.nn.modules.*Linear"):
        run(lambda problem: problem.once("model", lambda: nn.Linear(1, 1)), gcn(2), None, graph())


def test_what_serves_is_measured_and_its_best_state_is_restored(tmp_path):
    """The served average at the best epoch comes back, from a finished folder too."""

    def averaged(problem):
        average = EMA(problem.student, 0.5)
        task = problem.distiller(problem.student, average, problem.supervised() + 0.1 * problem.soft(1.0))
        return problem.train(task, "student", serve=lambda _: average.model)

    one = run(averaged, gcn(2), None, graph(), checkpoint=tmp_path, epochs=8)
    best = max(report["accuracy"] for report in one.history)
    assert one.scores["val"]["accuracy"] == pytest.approx(best)
    other = run(averaged, gcn(2), None, graph(), checkpoint=tmp_path, epochs=8, resume=True)
    assert same(one.model, other.model)


def test_rounds_go_on_where_they_were_broken_off(tmp_path):
    def method(problem):
        model = problem.student
        for number in problem.rounds(3, model):
            if number in stops:
                raise KeyboardInterrupt
            weight = float(torch.rand(()))
            task = problem.distiller(model, None, weight * problem.supervised())
            problem.train(task, f"round-{number}", choose=False)
            trained.append(number)
        return model.eval()

    trained: list[int] = []
    stops: list[int] = []
    whole = run(method, gcn(2), None, graph())
    trained.clear()
    stops.append(2)
    with pytest.raises(KeyboardInterrupt):
        run(method, gcn(2), None, graph(), checkpoint=tmp_path)
    stops.clear()
    assert trained == [0, 1]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    again = run(method, gcn(2), None, graph(), checkpoint=tmp_path, resume=True)
    assert trained == [0, 1, 2]
    assert same(whole.model, again.model)


def test_a_loss_is_the_whole_objective_and_is_not_changed():
    loss = 0.5 * CE(where="train_mask") + 2.0 * FitNet(4, 6)
    before = [value.clone() for value in loss.state_dict().values()]
    result = run(loss, gcn(2, width=4), gcn(1, width=6), graph(), hidden="convs.0")
    assert result.method == "loss"
    assert all(torch.equal(a, b) for a, b in zip(loss.state_dict().values(), before, strict=True))
    with pytest.raises(TypeError, match=r"a loss is the whole objective and has no settings, got \['weight'\]"):
        run(loss, gcn(2, width=4), gcn(1, width=6), graph(), hidden="convs.0", weight=1.0)


def test_an_optimiser_of_other_parameters_is_refused():
    student = gcn(2)
    wrong = lambda _: torch.optim.Adam(student.parameters())  # noqa: E731 - the given student, not its copy
    with pytest.raises(ValueError, match="'optimizer' must be over the parameters that are trained, 4 of its own"):
        run("none", student, None, graph(), optimizer=wrong)


def test_a_factory_makes_the_student_from_the_seed():
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 3))

    call = lambda model, batch: model(batch["x"])  # noqa: E731
    one, other, third = (run("none", make, None, graph(), seed=seed, call=call, epochs=0) for seed in (0, 0, 1))
    assert same(one.model, other.model)
    assert not same(one.model, third.model)


def test_a_module_that_cannot_be_made_anew_is_refused():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(6, 3))

        def forward(self, x):
            return x @ self.weight

    with pytest.raises(ValueError, match=r"Own at the top has parameters but no 'reset_parameters'.*factory"):
        run("ban", Own(), gcn(1), graph())


def test_the_start_is_that_of_the_first_run_whatever_weights_come(tmp_path):
    one = run(two_stages, gcn(2), gcn(1), graph(), checkpoint=tmp_path / "one")
    (tmp_path / "other").mkdir()
    state = checkpoint.load(tmp_path / "one" / "start.pt")
    checkpoint.save(state, tmp_path / "other" / "start.pt")
    other = run(two_stages, gcn(9), gcn(1), graph(), checkpoint=tmp_path / "other", resume=True)
    assert same(one.model, other.model)


def test_soft_targets_of_a_loss_need_a_teacher():
    with pytest.raises(ValueError, match="compare with a teacher"):
        run(KL(1.0), gcn(2), None, graph())


def test_what_is_chosen_by_validation_needs_some():
    data = graph()
    del data.val_mask

    def method(problem):
        problem.score(problem.student)

    with pytest.raises(ValueError, match="the data must have rows for 'val', got none"):
        run(method, gcn(2), None, data)
