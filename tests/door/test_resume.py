"""A resumed run is the one it goes on with, or says in what it is another; every way out of a run is a good one."""

from __future__ import annotations

import random
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset
from torch_geometric.nn import MLP

import graphkd
from graphkd import Cached, Distiller, Frozen, fit, load, save
from graphkd.core.rng import rng_state
from graphkd.losses import CE, KL, RKD
from graphkd.schemes import GroupBatches, TeacherChoice
from graphkd.schemes.federated import Client, Participant, Rule
from tests.core.models import gcn, graph
from tests.methods import scene

DATA = {"x": torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), "y": torch.arange(8) % 2}


def mlp(width: int = 6, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return MLP([4, width, 2], norm=None)


def task(student: nn.Module | None = None, loss=None) -> Distiller:
    return Distiller(mlp() if student is None else student, losses=CE() if loss is None else loss)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


class Log(list):
    """Which epochs were trained."""

    def __call__(self, report) -> None:
        self.append(report["epoch"])


# ---------------------------------------------------------------- nothing to resume
def test_resume_where_nothing_is_to_be_resumed_warns_and_trains(tmp_path):
    log = Log()
    with pytest.warns(UserWarning, match=r"'resume' found no run in '.*typo', which is new or empty: .* resume='auto'"):
        fit(task(), DATA, epochs=2, checkpoint=tmp_path / "typo", resume=True, log=log)
    assert log == [1, 2]


def test_resume_beside_other_files_names_them(tmp_path):
    save({}, tmp_path / "best.pt")
    with pytest.warns(
        UserWarning, match=r"found no run in .*, which holds \['best.pt'\]: training begins at the first"
    ):
        fit(task(), DATA, epochs=1, checkpoint=tmp_path, resume=True)


def test_auto_begins_and_goes_on_without_a_word(tmp_path):
    log = Log()
    for epochs in (2, 5, 5):
        fit(task(), DATA, epochs=epochs, checkpoint=tmp_path, resume="auto", log=log)
    assert log == [1, 2, 3, 4, 5]


def test_a_run_warns_once_where_nothing_is_to_be_resumed(tmp_path):
    run = partial(graphkd.distil, "ban", gcn(2), gcn(1), graph(), epochs=2, progress=False, checkpoint=tmp_path / "a")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        run(resume=True)
        run(resume=True)
    assert ["'resume' found no run in" in str(each.message) for each in heard] == [True]
    run(resume="auto")


def test_resume_is_true_false_or_auto(tmp_path):
    for resume in ("yes", 2, None):
        with pytest.raises(ValueError, match=r"'resume' must be True, False or 'auto', got"):
            fit(task(), DATA, epochs=1, checkpoint=tmp_path, resume=resume)
        with pytest.raises(ValueError, match=r"'resume' must be True, False or 'auto', got"):
            graphkd.distil("none", gcn(2), None, graph(), epochs=1, checkpoint=tmp_path, resume=resume)


def test_a_run_in_whose_place_another_begins_is_said_and_nothing_of_it_is_mixed_in(tmp_path):
    fit(task(), DATA, epochs=6, checkpoint=tmp_path, save_every=2)
    with pytest.warns(UserWarning, match=r"holds a run, in whose place this one begins: give resume=True to go on"):
        fit(task(mlp(seed=1)), DATA, epochs=0, checkpoint=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.old.pt", "last.pt"]
    assert load(tmp_path / "last.pt")["progress"]["epoch"] == 0


# ---------------------------------------------------------------- what is asked for now
def adam(**options):
    return partial(torch.optim.Adam, **{"lr": 1e-2, **options})


@pytest.mark.parametrize(
    ("name", "before", "now"), [("lr", 1e-2, 1e-3), ("weight_decay", 0, 0.1), ("betas", (0.9, 0.999), (0.5, 0.9))]
)
def test_a_setting_of_the_optimiser_that_is_asked_for_now_holds_and_is_said(tmp_path, name, before, now):
    fit(task(), DATA, epochs=2, optimizer=adam(), checkpoint=tmp_path)
    words = rf"goes on otherwise than it began: optimizer.{name} was .*{before if name != 'betas' else ''}.*, is "
    with pytest.warns(UserWarning, match=words):
        fit(task(), DATA, epochs=4, optimizer=adam(**{name: now}), checkpoint=tmp_path, resume=True)
    assert load(tmp_path / "last.pt")["optimizer"]["param_groups"][0][name] == now
    fit(task(), DATA, epochs=6, optimizer=adam(**{name: now}), checkpoint=tmp_path, resume=True)  # no news


def step(size: int = 3):
    return partial(torch.optim.lr_scheduler.StepLR, step_size=size, gamma=0.5)


@pytest.mark.parametrize(
    ("before", "now", "rate", "words"),
    [
        ((1e-2, step(3)), (1e-3, step(3)), 1e-3 / 4, r"optimizer.lr was 0.01, is 0.001"),
        ((1e-2, step(3)), (1e-2, step(2)), 1e-2 / 8, r"scheduler.step_size was 3, is 2"),
        ((1e-2, None), (1e-2, step(3)), 1e-2 / 4, r"scheduler was None, is StepLR"),
        ((1e-2, step(3)), (1e-2, None), 1e-2, r"scheduler was StepLR, is None"),
    ],
)
def test_a_schedule_that_is_asked_for_now_holds_from_where_the_run_is(tmp_path, before, now, rate, words):
    fit(task(), DATA, epochs=4, optimizer=adam(lr=before[0]), scheduler=before[1], checkpoint=tmp_path)
    run = partial(fit, data=DATA, optimizer=adam(lr=now[0]), scheduler=now[1], checkpoint=tmp_path, resume=True)
    with pytest.warns(UserWarning, match=words):
        run(task(), epochs=6)
    assert load(tmp_path / "last.pt")["optimizer"]["param_groups"][0]["lr"] == pytest.approx(rate)


def test_a_schedule_to_another_end_holds(tmp_path):
    def run(epochs, **options):
        cosine = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=epochs)
        return fit(task(), DATA, epochs=epochs, scheduler=cosine, checkpoint=tmp_path, **options)

    run(4)
    with pytest.warns(UserWarning, match=r"scheduler.T_max was 4, is 8"):
        run(8, resume=True)
    assert load(tmp_path / "last.pt")["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0, abs=1e-9)


def test_a_schedule_in_a_hook_of_the_optimiser_is_resumed(tmp_path):
    def optimizer(parameters):
        made = torch.optim.SGD(parameters, lr=0.5)
        schedule = torch.optim.lr_scheduler.StepLR(made, 3)
        made.register_step_post_hook(lambda *_: schedule.step())
        return made

    whole = fit(task(), DATA, epochs=8, optimizer=optimizer)
    fit(task(), DATA, epochs=4, optimizer=optimizer, checkpoint=tmp_path)
    assert same(whole, fit(task(), DATA, epochs=8, optimizer=optimizer, checkpoint=tmp_path, resume=True))


def test_a_hook_that_counts_for_itself_is_said(tmp_path):
    def optimizer(parameters):
        made, count = torch.optim.SGD(parameters, lr=0.5), [0]
        made.register_step_post_hook(lambda *_: count.append(1))
        return made

    with pytest.warns(UserWarning, match=r"the optimiser's hooks \[.*\] count is in no checkpoint.*'scheduler'"):
        fit(task(), DATA, epochs=1, optimizer=optimizer, checkpoint=tmp_path)


def other_data(name: str) -> dict:
    return {**DATA, name: DATA[name].flip(0)}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: (task(loss=2.0 * CE()), DATA), r"weights was \[1.0\], is \[2.0\]"),
        (lambda: (task(loss={"a": CE()}), DATA), r"names was \['ce'\], is \['a'\]"),
        (lambda: (task(), other_data("x")), r"data was dict \w+, is dict \w+"),
        (lambda: (task(), other_data("y")), r"data was dict \w+, is dict \w+"),
        (lambda: (task(), [DATA, DATA]), r"data was dict \w+, is list \w+"),
        (lambda: (task(MLP([4, 6, 2], norm=None, dropout=0.5)), DATA), r"student.dropout was \[0.0.*is \[0.5"),
    ],
)
def test_other_losses_settings_or_data_are_said(tmp_path, other, words):
    fit(task(), DATA, epochs=2, checkpoint=tmp_path)
    with pytest.warns(UserWarning, match=rf"goes on otherwise than it began: {words}"):
        fit(other()[0], other()[1], epochs=4, checkpoint=tmp_path, resume=True)


def test_another_temperature_or_teacher_is_said(tmp_path):
    distiller = lambda seed, temperature: Distiller(mlp(), mlp(seed=seed), KL(temperature))  # noqa: E731
    fit(distiller(1, 4.0), DATA, epochs=2, checkpoint=tmp_path)
    fit(distiller(1, 4.0), DATA, epochs=3, checkpoint=tmp_path, resume=True)
    with pytest.warns(UserWarning, match=r"losses.0.temperature was 4.0, is 2.0"):
        fit(distiller(1, 2.0), DATA, epochs=4, checkpoint=tmp_path, resume=True)
    with pytest.warns(UserWarning, match=r"teachers was \['Frozen of MLP \w+'\], is \['Frozen of MLP \w+'\]"):
        fit(distiller(3, 2.0), DATA, epochs=5, checkpoint=tmp_path, resume=True)


def test_another_number_of_threads_or_processes_is_said(tmp_path):
    fit(task(), DATA, epochs=2, checkpoint=tmp_path)
    before = torch.get_num_threads()
    state = load(tmp_path / "last.pt")
    state["asked"]["processes"] = 2
    save(state, tmp_path / "last.pt")
    torch.set_num_threads(before + 1)
    try:
        with pytest.warns(UserWarning, match=rf"processes was 2, is 1; threads was {before}, is {before + 1}"):
            fit(task(), DATA, epochs=4, checkpoint=tmp_path, resume=True)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("other", "options", "words"),
    [
        (task, {"optimizer": partial(torch.optim.SGD, lr=0.1, momentum=0.9)}, r"optimizer was Adam, is SGD"),
        (lambda: task(mlp(9)), {}, r"the shape of student.lins.0.bias was \[6\], is \[9\]"),
        (
            lambda: task(MLP([4, 6, 6, 2], norm=None)),
            {},
            r"groups of \[4\] parameters, has \[6\].*lins.2.bias was None",
        ),
        (lambda: Longer(), {}, r"trainable was Distiller, is Longer"),
    ],
)
def test_another_model_or_kind_of_optimiser_is_refused_and_nothing_is_changed(tmp_path, other, options, words):
    fit(task(), DATA, epochs=2, optimizer=adam(), checkpoint=tmp_path)
    raw, made = (tmp_path / "last.pt").read_bytes(), other()
    before = [value.clone() for value in made.state_dict().values()]
    with pytest.raises(ValueError, match=rf"last.pt' holds a run of something else: .*{words}"):
        fit(made, DATA, epochs=4, checkpoint=tmp_path, resume=True, **options)
    assert all(torch.equal(one, other) for one, other in zip(before, made.state_dict().values(), strict=True))
    assert (tmp_path / "last.pt").read_bytes() == raw


class Longer(Distiller):
    """Another kind of trainable."""

    def __init__(self) -> None:
        super().__init__(mlp(), losses=CE())


@pytest.mark.parametrize(
    ("content", "what"), [([1, 2], "a list"), ({"w": 1}, r"a dict of \['w'\]"), (None, "a NoneType")]
)
def test_a_file_of_something_else_is_refused(tmp_path, content, what):
    save(content, tmp_path / "last.pt")
    with pytest.raises(
        ValueError, match=rf"last.pt' must be what 'fit' keeps of a run, .* but holds {what}: give another"
    ):
        fit(task(), DATA, epochs=4, checkpoint=tmp_path, resume=True)


def test_fewer_epochs_than_the_run_has_are_said(tmp_path):
    one = fit(task(), DATA, epochs=6, checkpoint=tmp_path)
    with pytest.warns(UserWarning, match="nothing is trained: the run has come to epoch 6, 'epochs' is 3"):
        other = fit(task(), DATA, epochs=3, checkpoint=tmp_path, resume=True)
    assert same(one, other)


# ---------------------------------------------------------------- metrics and patience
def test_a_metric_that_is_new_counts_from_where_it_starts(tmp_path):
    fit(task(), DATA, epochs=12, checkpoint=tmp_path)
    log = Log()
    values = iter([1.0, 3.0, 2.0, 2.0, 2.0])
    run = partial(fit, task(), DATA, epochs=25, metric=lambda _: next(values), patience=2, log=log)
    with pytest.warns(UserWarning, match="metric was None, is given; patience was None, is 2"):
        run(checkpoint=tmp_path, resume=True)
    assert log == [13, 14, 15, 16]


def test_a_metric_with_another_name_counts_from_where_it_starts(tmp_path):
    run = partial(fit, data=DATA, patience=2, checkpoint=tmp_path)
    falling = iter(range(0, -30, -1))
    run(task(), epochs=12, metric=lambda _: {"old": next(falling)})
    assert load(tmp_path / "last.pt")["progress"]["epoch"] == 3
    log, rising = Log(), iter(range(10))
    with pytest.warns(
        UserWarning, match=r"the metric of this run was \['old'\], is \['new'\]: the best epoch is looked for anew"
    ):
        run(task(), epochs=7, metric=lambda _: {"new": next(rising)}, resume=True, log=log)
    assert log == [4, 5, 6, 7]
    assert list(load(tmp_path / "last.pt")["progress"]["bests"]) == ["new"]


def test_a_metric_that_is_gone_no_longer_chooses(tmp_path):
    falling = iter(range(0, -30, -1))
    fit(task(), DATA, epochs=4, metric=lambda _: next(falling), checkpoint=tmp_path)
    with pytest.warns(UserWarning, match="metric was given, is None"):
        model = fit(task(), DATA, epochs=6, checkpoint=tmp_path, resume=True)
    assert same(model, fit(task(), DATA, epochs=6))


def test_patience_is_looked_at_when_there_is_a_metric():
    log, values = Log(), iter([1, 2, 0, 0])
    fit(task(), DATA, epochs=40, metric=lambda _: next(values), metric_every=5, patience=2, log=log)
    assert log[-1] == 15  # the first metric is at epoch 5, the best at 10


def test_patience_that_ended_the_run_already_is_said(tmp_path):
    falling = lambda: (lambda values: lambda _: next(values))(iter(range(0, -30, -1)))  # noqa: E731
    run = partial(fit, data=DATA, checkpoint=tmp_path)
    run(task(), epochs=6, metric=falling())
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        run(task(), epochs=9, metric=falling(), patience=2, resume=True)
    words = [str(each.message) for each in heard]
    assert "patience was None, is 2" in words[0]
    assert words[1].startswith("nothing is trained: the run has come to epoch 6, 'epochs' is 9 and 'patience' 2")
    run(task(), epochs=9, metric=falling(), patience=2, resume=True)  # no news


def test_metrics_and_logs_with_a_state_are_resumed(tmp_path):
    class Counting:
        count = 0

        def __call__(self, _) -> float:
            self.count += 1
            return -self.count

        def state_dict(self):
            return {"count": self.count}

        def load_state_dict(self, state):
            self.count = state["count"]

    fit(task(), DATA, epochs=3, metric=Counting(), log=Counting(), checkpoint=tmp_path)
    metric, log = Counting(), Counting()
    fit(task(), DATA, epochs=5, metric=metric, log=log, checkpoint=tmp_path, resume=True)
    assert (metric.count, log.count) == (5, 5)


# ---------------------------------------------------------------- loaders
class Noisy(Dataset):
    """Rows with noise from all three generators."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index):
        noise = torch.randn(4) + np.random.rand() + random.random()  # noqa: NPY002
        return {"x": noise.float(), "y": torch.tensor(index % 2)}


class Pairs(Noisy):
    """Two rows at a time."""

    def __getitem__(self, index):
        return torch.utils.data.default_collate([super().__getitem__(index), super().__getitem__(index + 1)])


class Stream(IterableDataset):
    """The same rows, one after the other."""

    def __iter__(self):
        rows = Noisy()
        return (rows[index] for index in range(len(rows)))


LOADERS = {
    "one worker": lambda: DataLoader(Noisy(), 4, shuffle=True, num_workers=1, persistent_workers=True),
    "two workers": lambda: DataLoader(Noisy(), 4, shuffle=True, num_workers=2, persistent_workers=True),
    "a stream": lambda: DataLoader(Stream(), 4, num_workers=1, persistent_workers=True),
    "no batches": lambda: DataLoader(Pairs(), None, shuffle=True, num_workers=1, persistent_workers=True),
    "a generator": lambda: DataLoader(Noisy(), 4, shuffle=True, generator=torch.Generator().manual_seed(3)),
    "both": lambda: DataLoader(
        Noisy(), 4, shuffle=True, num_workers=1, persistent_workers=True, generator=torch.Generator().manual_seed(3)
    ),
}


@pytest.mark.parametrize("name", LOADERS)
def test_a_loader_goes_on_with_the_same_bits(tmp_path, name):
    def run(epochs, **options):
        student = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.5), nn.Linear(6, 2))
        made = Distiller(student, losses=CE(), call=lambda model, batch: model(batch["x"]))
        return fit(made, LOADERS[name](), epochs=epochs, seed=5, **options)

    torch.manual_seed(2)
    state = torch.get_rng_state()
    whole = run(5)
    torch.set_rng_state(state)
    run(2, checkpoint=tmp_path)
    torch.set_rng_state(state)
    assert same(whole, run(5, checkpoint=tmp_path, resume=True))


def test_a_loader_is_left_as_it_was():
    loader = LOADERS["one worker"]()
    made = Distiller(mlp(), losses=CE())
    fit(made, loader, epochs=2)
    assert loader._iterator is None
    assert loader.persistent_workers
    assert isinstance(loader.dataset, Noisy)
    assert not isinstance(next(iter(loader.batch_sampler)), tuple)


# ---------------------------------------------------------------- schemes and methods
def test_a_choice_of_teachers_goes_on_with_the_same_bits(tmp_path):
    def choice():
        torch.manual_seed(5)
        return TeacherChoice(gcn(1), [gcn(2), gcn(3)], 3, 30, where="train_mask", warm=2)

    whole = fit(choice(), graph(), epochs=9)
    fit(choice(), graph(), epochs=6, checkpoint=tmp_path)
    assert same(whole, fit(choice(), graph(), epochs=9, checkpoint=tmp_path, resume=True))


def test_groups_are_drawn_in_the_same_order(tmp_path):
    def run(epochs, **options):
        data = graph()
        batches = GroupBatches(data, data.y, count=2, rows=3, steps=2)
        made = Distiller(
            gcn(1, dropout=0.5), gcn(2), CE(where="train_mask") + RKD(where="drawn"), taps={"hidden": "convs.0"}
        )
        return fit(made, batches, epochs=epochs, **options)

    whole = run(6)
    run(3, checkpoint=tmp_path)
    assert same(whole, run(6, checkpoint=tmp_path, resume=True))


METHODS = (
    "ban",
    "takd",
    "defensive",
    "noisy_student",
    "phased_labels",
    "function_matching",
    "guided_search",
    "tmkd",
    "uninformed",
    "supervision_transfer",
    "bidirectional",
    "tri_training",
    "amtml",
    "rl_kd",
    "tscl",
    "cc_class_uniform",
    "fedavg",
    "mean_teacher",
)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_in_a_fresh_folder_is_the_method_and_goes_on_as_it(tmp_path, name):
    row = next(row for row in graphkd.methods() if row.name == name)
    given = scene.arguments(row)
    plain = scene.run(row, given)
    with pytest.warns(UserWarning, match="'resume' found no run in") as heard:
        fresh = scene.run(row, given, checkpoint=tmp_path / "run", resume=True)
    assert len(heard) == 1
    again = scene.run(row, given, checkpoint=tmp_path / "run", resume=True)
    for other in (fresh, again):
        assert same(plain.model, other.model)
        assert plain.history == other.history
        assert plain.scores == other.scores


def test_the_rounds_of_a_participant_have_folders_of_their_own(tmp_path):
    def trained(**options):
        client = Participant(0, Client(gcn(1), graph()), Rule(), local={"epochs": 2, **options}, distil={})
        messages = []
        for number in (0, 1):
            client.learn(number)
            messages.append(client.send())
        return messages

    plain = trained()
    kept = [trained(checkpoint=tmp_path, resume=resume) for resume in (False, True)]
    for messages in kept:
        for one, other in zip(plain, messages, strict=True):
            assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["round-1-client-1", "round-2-client-1"]


def test_generations_differ_in_a_fresh_folder(tmp_path):
    found: list = []

    def method(problem):
        for number in (1, 2, 3):
            start = problem.fresh_student(number)
            found.append(problem.train(problem.distiller(start, None, problem.supervised()), f"generation-{number}"))
        return found[-1]

    graphkd.distil(method, gcn(2), None, graph(), epochs=2, progress=False, checkpoint=tmp_path, resume="auto")
    weights = [model.convs[0].lin.weight for model in found]
    assert not any(torch.equal(weights[0], other) for other in weights[1:])


def test_a_history_is_whole_after_a_stage_was_broken_off(tmp_path):
    def stop(report):
        if report["epoch"] == 4:
            raise KeyboardInterrupt

    run = partial(graphkd.distil, "kd", gcn(2), gcn(1), graph(), epochs=6, save_every=1, progress=False)
    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=tmp_path, log=stop)
    assert run(checkpoint=tmp_path, resume=True).history == whole.history


def test_a_finished_stage_that_is_asked_for_otherwise_is_said(tmp_path):
    run = partial(graphkd.distil, "kd", gcn(2), gcn(1), graph(), progress=False, checkpoint=tmp_path)
    run(epochs=3)
    with pytest.warns(
        UserWarning, match=r"1-student' is finished and taken as it is, although epochs was 3, is 6: remove"
    ):
        run(epochs=6, resume=True)


@pytest.mark.parametrize("resume", [False, True, "auto"])
def test_a_folder_of_others_is_not_taken_for_a_run(tmp_path, resume):
    for name in ("thesis.tex", ".env.local"):
        (tmp_path / name).write_text("dear")
    run = partial(graphkd.distil, "kd", gcn(2), gcn(1), graph(), progress=False, checkpoint=tmp_path, resume=resume)
    with pytest.raises(
        ValueError, match=r"must be an empty folder or that of a run, .* holds \['.env.local', 'thesis.tex'\]"
    ):
        run(epochs=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env.local", "thesis.tex"]


def test_another_loss_of_the_whole_objective_is_refused(tmp_path):
    run = partial(graphkd.distil, student=gcn(2), teacher=gcn(1), data=graph(), progress=False, checkpoint=tmp_path)
    run(KL(4.0), epochs=1)
    with pytest.raises(ValueError, match=r"holds another run: settings.loss was .*4.0.*, is .*2.0"):
        run(KL(2.0), epochs=1, resume=True)


def test_a_damaged_round_is_trained_again(tmp_path):
    row = next(row for row in graphkd.methods() if row.name == "fedavg")
    given = scene.arguments(row)
    whole = scene.run(row, given, checkpoint=tmp_path)
    (tmp_path / "rounds.pt").write_bytes(b"nothing")
    with pytest.warns(UserWarning, match=r"rounds.pt' must be a checkpoint.*goes on from .*rounds.old.pt'"):
        again = scene.run(row, given, checkpoint=tmp_path, resume=True)
    assert same(whole.model, again.model)


# ---------------------------------------------------------------- ends
def failing(kind):
    def metric(model):
        metric.kept.append([value.clone() for value in model.state_dict().values()])
        if len(metric.kept) == 4:
            raise kind("on purpose")
        return -len(metric.kept)

    metric.kept = []
    return metric


@pytest.mark.parametrize("kind", [KeyboardInterrupt, RuntimeError])
def test_an_exception_leaves_the_best_weights_and_nothing_else(kind):
    student, teacher, metric = mlp(), mlp(seed=1), failing(kind)
    before, tiny = rng_state(), torch.tensor(1e-39)
    made = Distiller(student, teacher, RKD(), taps={"hidden": "lins.0"})
    with pytest.raises(kind, match="on purpose"):
        fit(made, DATA, epochs=9, metric=metric)
    assert all(
        torch.equal(one, other) for one, other in zip(metric.kept[0], student.state_dict().values(), strict=True)
    )
    assert not student.training
    for model in (student, teacher):
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.equal(rng_state()["torch"], before["torch"])
    assert float(tiny * 1) > 0


def test_a_worker_that_fails_leaves_the_best_weights():
    class Failing(Noisy):
        def __getitem__(self, index):
            self.count = getattr(self, "count", 0) + 1
            if self.count > 30:
                raise RuntimeError("on purpose")
            return super().__getitem__(index)

    student, kept = mlp(), []

    def metric(model):
        kept.append([value.clone() for value in model.state_dict().values()])
        return -len(kept)

    with pytest.raises(RuntimeError, match="on purpose"):
        fit(
            Distiller(student, losses=CE()),
            DataLoader(Failing(), 4, num_workers=1, persistent_workers=True),
            epochs=9,
            metric=metric,
        )
    assert len(kept) == 2
    assert all(torch.equal(one, other) for one, other in zip(kept[0], student.state_dict().values(), strict=True))


def test_a_distiller_is_fitted_in_two_phases():
    student, teacher = mlp(), Cached(mlp(seed=1), DATA)
    made = Distiller(student, teacher, {"ce": CE(), "kl": KL()})
    fit(made, DATA, epochs=3, optimizer=adam(lr=1e-2))
    middle = [value.clone() for value in student.state_dict().values()]
    fit(made, DATA, epochs=3, optimizer=adam(lr=1e-3))
    assert not all(torch.equal(one, other) for one, other in zip(middle, student.state_dict().values(), strict=True))
    assert made(DATA).loss.isfinite()
    tapped = Distiller(mlp(), Frozen(mlp(seed=1)), RKD(), taps={"hidden": "lins.0"})
    for _ in range(2):
        fit(tapped, DATA, epochs=1)
