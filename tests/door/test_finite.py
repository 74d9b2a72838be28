"""What a training makes stays finite, or the training ends with an error and the good state stays."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch_geometric.nn import MLP

from graphkd import EMA, Distiller, Loss, fit, load
from graphkd.core.finite import all_finite
from graphkd.losses import CE, KL

DATA = {"x": torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), "y": torch.arange(8) % 2}
WORDS = r"the weights must stay finite, got NaN or infinity at epoch {} in \[{}.*: lower the learning rate, give 'clip'"


class Root(Loss):
    """A loss whose value is finite and whose gradient is NaN, from some epoch on."""

    def __init__(self, since: int = 0) -> None:
        super().__init__()
        self.since, self._epoch = since, 0

    def set_epoch(self, epoch: int, epochs: int) -> None:
        self._epoch = epoch

    def forward(self, student, *, y):
        distance = (student - student.detach()).square().sum()
        return student.square().mean() + (distance.sqrt() + 1 if self._epoch >= self.since else 0)


class Remembers(Loss):
    """A loss with a head and a memory of its own, which turns into something that is not finite."""

    def __init__(self, what: str, value: str) -> None:
        super().__init__()
        self.head, self._what, self._value = nn.Linear(2, 2), what, float(value)
        self.register_buffer("memory", torch.zeros(2))

    @torch.no_grad()
    def _spoil(self) -> None:
        (self.memory if self._what == "memory" else self.head.bias).fill_(self._value)

    def forward(self, student, *, y):
        value = self.head(student).square().mean()
        self._spoil()
        return value


def mlp(norm: str | None = None) -> nn.Module:
    torch.manual_seed(0)
    return MLP([4, 6, 2], norm=norm)


def finite(state) -> bool:
    return all_finite([value for value in state.values() if isinstance(value, torch.Tensor)])


def test_a_gradient_of_nan_ends_the_run_at_its_epoch_and_names_the_weights():
    with pytest.raises(ValueError, match=WORDS.format(1, "'student.lins.0.weight'")):
        fit(Distiller(mlp(), losses=Root()), DATA, epochs=3)


def test_infinite_weights_after_one_huge_step_end_the_run():
    sgd = partial(torch.optim.SGD, lr=3e38)
    with pytest.raises(ValueError, match=WORDS.format(1, "'student.lins.0")):
        fit(Distiller(mlp(), losses=1e3 * CE()), DATA, epochs=1, optimizer=sgd)


def test_statistics_of_batch_norm_are_looked_at_too():
    data = {**DATA, "x": 1e25 * DATA["x"]}
    with pytest.raises(ValueError, match=WORDS.format(1, "'student.norms.0.module.running_var'")):
        fit(Distiller(mlp("batch_norm"), losses=CE()), data, epochs=2)


@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize(("what", "name"), [("head", "losses.0.head.bias"), ("memory", "losses.0.memory")])
def test_heads_and_memories_of_losses_are_looked_at_too(what, name, value):
    with pytest.raises(ValueError, match=WORDS.format(1, f"'{name}'")):
        fit(Distiller(mlp(), losses=Remembers(what, value)), DATA, epochs=2)


def test_averages_are_looked_at_too():
    class Spoilt(EMA):
        def __call__(self, batch, *taps):
            view = super().__call__(batch, *taps)
            self.model.lins[0].bias.fill_(float("nan"))
            return view

    student = mlp()
    with pytest.raises(ValueError, match=WORDS.format(1, "'moving.model.lins.0.bias'")):
        fit(Distiller(student, Spoilt(student), CE() + KL()), DATA, epochs=2)


def test_what_serves_beside_the_student_is_looked_at_too():
    beside = mlp().requires_grad_(requires_grad=False)

    def spoil(_):
        beside.lins[0].bias.fill_(float("nan"))

    with pytest.raises(ValueError, match=WORDS.format(2, "'lins.0.bias'")):
        fit(Distiller(mlp(), losses=CE()), DATA, epochs=2, serve=lambda _: beside, log=spoil)


def test_a_mask_that_is_infinite_on_purpose_may_stay_so():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = mlp()
            self.register_buffer("mask", torch.tensor([0.0, float("-inf")]))

        def forward(self, x):
            return self.inner(x) + self.mask.nan_to_num(neginf=-1.0)

    fit(Distiller(Masked(), losses=CE()), DATA, epochs=1)


def test_large_numbers_are_finite():
    largest = torch.finfo(torch.float32).max
    assert all_finite([torch.full((9,), largest), torch.full((2,), 1e300, dtype=torch.float64), torch.zeros(0)])
    assert all_finite([torch.full((9,), 6e4, dtype=torch.float16), torch.arange(3), torch.eye(2).to_sparse()])
    assert not all_finite([torch.ones(2), torch.tensor([0.0, float("-inf")])])
    assert not all_finite([torch.tensor([complex(0, float("nan"))])])


def test_no_bad_state_takes_the_place_of_a_good_one_and_the_run_goes_on_with_another_rate(tmp_path):
    sgd = partial(torch.optim.SGD, lr=0.1)
    task = lambda since: Distiller(mlp(), losses=Root(since))  # noqa: E731
    student = mlp()
    with pytest.raises(ValueError, match=WORDS.format(4, "'student")):
        fit(Distiller(student, losses=Root(3)), DATA, epochs=9, optimizer=sgd, checkpoint=tmp_path, save_every=1)
    state = load(tmp_path / "last.pt")
    assert state["progress"]["epoch"] == 3
    assert finite(state["trainable"])
    assert finite(load(tmp_path / "best.pt"))
    epochs: list[int] = []
    log = lambda report: epochs.append(report["epoch"])  # noqa: E731
    slower = partial(torch.optim.SGD, lr=0.01)
    with pytest.warns(UserWarning, match=r"optimizer.lr was 0.1, is 0.01.*losses.0.since was 3, is 9"):
        fit(task(9), DATA, epochs=9, optimizer=slower, checkpoint=tmp_path, resume=True, log=log)
    assert epochs == list(range(4, 10))


def test_a_run_that_fails_at_once_leaves_the_state_it_began_with(tmp_path):
    student = mlp()
    start = {name: value.clone() for name, value in student.state_dict().items()}
    with pytest.raises(ValueError, match=WORDS.format(1, "'student")):
        fit(Distiller(student, losses=Root()), DATA, epochs=1, checkpoint=tmp_path)
    kept = load(tmp_path / "last.pt")["trainable"]
    assert all(torch.equal(kept[f"student.{name}"], value) for name, value in start.items())


def test_the_student_has_its_best_weights_after_an_epoch_that_failed():
    student, kept = mlp(), []

    def metric(model):
        kept.append({name: value.clone() for name, value in model.state_dict().items()})
        return -len(kept)

    with pytest.raises(ValueError, match=WORDS.format(4, "'student")):
        fit(Distiller(student, losses=Root(3)), DATA, epochs=9, metric=metric)
    assert len(kept) == 3  # what is not finite is not measured
    assert all(torch.equal(value, kept[0][name]) for name, value in student.state_dict().items())
    assert not student.training


def test_weights_that_are_not_finite_when_training_begins_are_refused():
    student = mlp()
    student.lins[0].weight.data[0, 0] = float("nan")
    with pytest.raises(
        ValueError, match=r"the weights must be finite when training begins, .*\['student.lins.0.weight'\]"
    ):
        fit(Distiller(student, losses=CE()), DATA, epochs=1)


def test_an_option_of_nan_is_refused():
    with pytest.raises(ValueError, match="'clip' must be at least 0, got nan"):
        fit(Distiller(mlp(), losses=CE()), DATA, epochs=1, clip=float("nan"))
