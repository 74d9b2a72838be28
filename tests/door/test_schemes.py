"""Schemes do what their papers do: which rows learn, who moves, on what scale made inputs are, and who is asked how."""

from __future__ import annotations

import copy
import importlib
from functools import partial
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GCN, MLP

import graphkd
from graphkd import EMA, Distiller, Frozen, fit
from graphkd.gnn import FakeGraphs, Inversion
from graphkd.losses import CE, KL
from graphkd.schemes import (
    KDGAN,
    Adversarial,
    DataFreeRegression,
    FakeTurns,
    MetaDistil,
    Peers,
    Progressive,
    Record,
    Stochastic,
    StudentFriendly,
    TeacherChoice,
    Turns,
    each_other,
    reconstruct,
)
from graphkd.schemes.federated import Client, Participant
from graphkd.tasks import NodeClassification
from tests.methods import scene

METHODS = {row.name: row for row in graphkd.methods()}
LABELS = CE(where="train_mask")


def clusters() -> dict[str, Tensor]:
    """Four Gaussian classes, of which sixty rows are labelled."""
    torch.manual_seed(0)
    centres, y = 0.6 * torch.randn(4, 16), torch.randint(0, 4, (300,))
    place = torch.arange(300)
    masks = {"train_mask": place < 60, "test_mask": place >= 60}
    return {"x": centres[y] + torch.randn(300, 16), "y": y, **masks}


def net(width: int = 16) -> MLP:
    return MLP([16, width, 4], norm=None)


def accuracy(model: nn.Module, data: dict[str, Tensor]) -> float:
    """On rows without labels; the model's mode is as it was."""
    mode = model.training
    right = model.eval()(data["x"]).argmax(dim=1) == data["y"]
    model.train(mode)
    return float(right[data["test_mask"]].float().mean())


def trained(data: dict[str, Tensor], where: str) -> nn.Module:
    torch.manual_seed(1)
    return fit(Distiller(net(), losses=CE(where=where)), data, epochs=400, progress=False)


# ---------------------------------------------------------------------------------------------- which rows learn
@pytest.mark.parametrize("name", ["fedavg", "fedgkd", "fedntd", "fedssd", "fedbe", "feddf", "fedftg", "fedmd"])
def test_a_federated_client_learns_on_its_labelled_rows_alone(name):
    data = {"x": torch.randn(40, 8), "y": torch.randint(0, 3, (40,)), "train_mask": torch.arange(40) < 5}
    module = importlib.import_module(f"graphkd.schemes.federated.{name}")
    rule = module.rule() if hasattr(module, "rule") else graphkd.schemes.federated.Rule()
    client = Client(MLP([8, 3]), data)
    side = Participant(0, client, rule, {**data}, local={}, distil={})
    parts = side.rule.local(client, client.model, side.public).parts()
    assert [part.where for _, part in parts] == ["train_mask"] * len([*rule.local(client, client.model, data).parts()])


def test_fedgkd_is_not_pulled_to_a_random_model_on_rows_without_labels():
    data = clusters()
    options = {"rounds": 1, "local_epochs": 100, "gamma": 2.0, "progress": False}
    torch.manual_seed(1)
    found = graphkd.distil("fedgkd", net(), None, graphkd.Clients([data]), **options)
    assert accuracy(found.model, data) > 0.6


def test_peers_teach_each_other_on_labelled_rows_unless_they_are_told_otherwise():
    models = [net(), net()]
    for soft, where in (
        (None, "train_mask"),
        (KL(1.0), "train_mask"),
        (KL(1.0, where="all"), "all"),
        (KL(1.0, where="~train_mask"), "~train_mask"),
    ):
        task = Peers(models, each_other, labels=LABELS, soft=soft)
        assert [part.where for _, part in task.soft.parts()] == [where]
        assert soft is None or soft.where != "train_mask"  # what was given is as it was
    assert Peers(models, each_other, labels=CE()).soft.where is None


ONLINE = [row.name for row in graphkd.methods(family="online") if "where" in row.settings]


def test_online_methods_have_the_papers_rows_by_default():
    assert set(ONLINE) >= {"dml", "one", "pcl", "okddip", "ffl", "afd", "afikd", "mcl_okd", "kdcl_general"}
    assert {METHODS[name].settings["where"] for name in ONLINE} == {"labelled"}


@pytest.mark.parametrize("name", ONLINE)
def test_online_methods_do_not_read_the_features_of_other_rows_where_no_edges_carry_them(name):
    """Of an MLP rows without labels teach nothing; with ``where="all"`` they do."""
    row, found = METHODS[name], {}
    given = {**scene.arguments(row), "student": scene.mlp(5, 12), "hidden": "lins.0", "teacher": None}
    if "distortion" in row.settings:
        given["distortion"] = 0.0
    for where in ("labelled", "all"):
        for shift in (0.0, 1.0):
            data = scene.graph()
            del data.val_mask
            data.x = data.x + shift * (~data.train_mask)[:, None]
            # memories hold all rows, and batch norm sees all: of the others even what features teach is looked at
            result = scene.run(row, {**given, "data": data}, where=where)
            found[where, shift] = result.history[-1]["soft_2"]
    assert found["all", 0.0] != found["all", 1.0]
    if name not in ("mcl_okd", "one"):
        assert found["labelled", 0.0] == pytest.approx(found["labelled", 1.0], rel=1e-5)
    with pytest.raises(ValueError, match="'where' must be one of"):
        scene.run(row, given, where="train_mask")


# ---------------------------------------------------------------------------------------------- who moves
@pytest.mark.parametrize("knows", ["all", "train_mask"])
def test_in_kdgan_a_trained_teacher_keeps_its_accuracy(knows):
    data = clusters()
    teacher, found = trained(data, knows), []
    before = accuracy(teacher, data)
    game = KDGAN(net(), teacher, net(), labels=LABELS, where="train_mask", targets="y")
    student = fit(game, data, epochs=60, log=lambda _: found.append(accuracy(teacher, data)), progress=False)
    assert min(found) > before - 0.03
    assert accuracy(student, data) > 0.7


def test_the_kdgan_method_trains_its_players_before_the_game():
    data, seen = clusters(), []
    teacher = trained(data, "all")
    options = {"epochs": 30, "log": seen.append, "progress": False}
    result = graphkd.distil("kdgan", net(), teacher, data, **options)
    assert list(dict.fromkeys(report["stage"] for report in seen)) == ["classifier", "discriminator", "game"]
    assert result.scores["test"]["accuracy"] > 0.7


@pytest.mark.parametrize("knows", ["all", "train_mask"])
def test_metadistil_s_teacher_keeps_its_accuracy_at_a_rate_of_its_own(knows):
    data, place, found = clusters(), torch.arange(300), []
    teacher = trained(data, knows)
    before = accuracy(teacher, data)
    task = MetaDistil(net(), teacher, where="learnt", quiz="quiz")
    rates = METHODS["metadistil"].settings
    assert rates["teacher_lr"] <= 0.1 * rates["lr"]
    groups = [
        {"params": list(model.parameters()), "lr": rates[name]}
        for model, name in ((task.student, "lr"), (task.teacher, "teacher_lr"))
    ]
    batches = Turns({**data, "learnt": place < 48, "quiz": (place >= 48) & (place < 60)})
    options: dict[str, Any] = {"optimizer": lambda _: torch.optim.Adam(groups), "progress": False}
    fit(task, batches, epochs=60, log=lambda _: found.append(accuracy(teacher, data)), **options)
    assert min(found) > before - 0.06


@pytest.mark.parametrize("knows", ["all", "train_mask"])
def test_an_adapting_teacher_keeps_its_accuracy(knows):
    data, found = clusters(), []
    data |= {"source_mask": data["train_mask"], "target_mask": ~data["train_mask"]}
    teacher = trained(data, knows)
    before = accuracy(teacher, data)
    adapting = Adversarial(teacher, nn.Linear(4, 1), CE(where="source_mask"))
    both = Progressive(adapting, Distiller(net(), Frozen(teacher), KL(4.0) + LABELS))
    fit(both, data, epochs=60, log=lambda _: found.append(accuracy(teacher, data)), progress=False)
    assert min(found) > before - 0.05


def test_a_strong_peer_comes_back_to_what_it_knew():
    data, found = clusters(), []
    strong = trained(data, "train_mask")
    before = accuracy(strong, data)
    task = Peers([strong, net(), net()], each_other, labels=LABELS, soft=KL(1.0))
    fit(task, data, epochs=60, log=lambda _: found.append(accuracy(strong, data)), progress=False)
    assert found[-1] > before - 0.03


# ---------------------------------------------------------------------------------------------- made inputs
@pytest.mark.parametrize("last", [nn.Identity(), nn.BatchNorm1d(8, affine=False), nn.Linear(8, 8)])
def test_made_inputs_stay_on_the_scale_of_the_data(last):
    torch.manual_seed(0)
    data, teacher = {"x": torch.randn(200, 8)}, MLP([8, 32, 3], norm=None).eval()
    generator = nn.Sequential(nn.Linear(50, 64), nn.ReLU(), nn.Linear(64, 8), copy.deepcopy(last))
    task = DataFreeRegression(MLP([8, 16, 3], norm=None), teacher, generator)
    student = fit(task, FakeTurns(data, 4), epochs=120, progress=False)
    made = task.made(data["x"]).detach()
    assert 0.9 < float(made.std()) < 1.1
    assert float((student(data["x"]) - teacher(data["x"])).detach().square().mean()) < 0.002


def test_made_inputs_may_be_put_on_another_scale():
    teacher, student = MLP([4, 8, 2], norm=None), MLP([4, 8, 2], norm=None)
    mean, deviation = torch.tensor([0.0, 10.0, -5.0, 100.0]), torch.tensor([1.0, 2.0, 0.1, 30.0])
    task = DataFreeRegression(student, teacher, nn.Linear(50, 4), mean=mean, deviation=deviation)
    made = task.made(torch.zeros(500, 4)).detach()
    torch.testing.assert_close(made.mean(dim=0), mean, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(made.std(dim=0, correction=0), deviation, atol=1e-4, rtol=1e-2)
    assert torch.equal(task.made(torch.zeros(1, 4)).detach(), mean[None])
    with pytest.raises(ValueError, match=r"'deviation' must be above 0 for every feature, got 0\.0"):
        DataFreeRegression(student, teacher, nn.Linear(50, 4), deviation=torch.zeros(4))


def test_the_published_generator_runs_away():
    torch.manual_seed(0)
    data, teacher = {"x": torch.randn(100, 8)}, MLP([8, 32, 3], norm=None).eval()
    task = DataFreeRegression(MLP([8, 16, 3], norm=None), teacher, nn.Linear(50, 8), standardise=False)
    fit(task, FakeTurns(data, 1), epochs=200, progress=False)
    assert float(task.made(data["x"]).detach().std()) > 1.5


def test_reconstructed_inputs_stay_on_the_scale_of_the_data():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 2), nn.Linear(2, 3)).train()  # of which three directions are never seen
    records = {"hidden": Record.of(torch.randn(50, 2) * 1e3)}
    call = lambda model, batch: model(batch["x"])  # noqa: E731
    options = {"steps": 300, "lr": 1.0, "call": call}
    made = reconstruct(model, records, {"hidden": "0"}, (64, 5), **options)
    assert float(made.abs().max()) <= 3
    assert model.training
    mean, deviation = torch.full((5,), 0.02), torch.full((5,), 0.01)
    small = reconstruct(model, records, {"hidden": "0"}, (64, 5), mean=mean, deviation=deviation, **options)
    assert float((small - 0.02).abs().max()) <= 0.03 + 1e-6
    with pytest.raises(ValueError, match="'bound' must be positive, got 0"):
        reconstruct(model, records, {"hidden": "0"}, (64, 5), bound=0, **options)


def test_activation_records_make_rows_on_the_scale_of_the_features(tmp_path):
    data = scene.graph()
    data.x = 0.01 * data.x
    given = {**scene.arguments(METHODS["activation_records"]), "data": data}
    scene.run(METHODS["activation_records"], given, checkpoint=tmp_path)
    made = graphkd.load(tmp_path / "once" / "made.pt")
    assert float(made.abs().max()) < 0.01 * 10
    assert 0.3 < float(made.std() / data.x.std()) < 3


class Normed(nn.Module):
    """A classifier of graphs with BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.last = nn.BatchNorm1d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        rows = self.last(self.norm(x))
        return torch.zeros(int(batch.max()) + 1, 3).index_add(0, batch, rows)


def test_features_of_made_graphs_stay_bounded_without_a_prior():
    torch.manual_seed(0)
    fake = FakeGraphs(torch.tensor([3, 4, 3]), torch.tensor([0, 1, 2]), 4, one_hot=False)
    teacher = Normed().train()
    task = Inversion(fake, teacher, bn_weight=0.0, entropy_weight=0.0)
    adam = partial(torch.optim.Adam, lr=1.0)
    fit(task, {"targets": fake.y}, epochs=200, optimizer=adam, progress=False)
    assert float(fake()["x"].detach().abs().max()) <= 3
    assert max(float(graph.x.abs().max()) for graph in fake.graphs()) <= 3
    assert teacher.training
    with pytest.raises(ValueError, match="'bound' must be above 0, got 0"):
        FakeGraphs(torch.tensor([3]), torch.tensor([0]), 4, bound=0)


def test_fedftg_s_generator_makes_rows_on_the_scale_of_its_clients():
    from graphkd.schemes.federated import fedftg

    x = torch.randn(80, 6, generator=torch.Generator().manual_seed(0)) * 0.01 + 5
    data = [
        {"x": rows, "y": torch.arange(40) % 3, "train_mask": torch.ones(40, dtype=torch.bool)} for rows in x.split(40)
    ]
    messages = []
    for part in data:
        client = Client(MLP([6, 3]), part)
        messages.append({"size": torch.tensor(client.size), **fedftg._counts(client, None)})
    generator = fedftg.Generator(8, 3, *fedftg._pooled(messages)).to(x)
    assert not list(generator.norm.parameters())  # nothing that could leave the scale
    made = generator(torch.randn(500, 8), torch.arange(500) % 3).detach()
    torch.testing.assert_close(made.mean(dim=0), x.mean(dim=0), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(made.std(dim=0), x.std(dim=0, correction=0), atol=1e-3, rtol=0.1)


# ---------------------------------------------------------------------------------------------- modes
def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def test_an_adapting_teacher_trains_with_dropout_at_every_batch():
    torch.manual_seed(0)
    half = torch.arange(40) < 20
    data = {"x": torch.randn(40, 8), "y": torch.randint(0, 3, (40,)), "source_mask": half, "target_mask": ~half}
    adapting = Adversarial(MLP([8, 16, 3], dropout=0.5), nn.Linear(3, 1), CE(where="source_mask"))
    task = Progressive(adapting, Distiller(MLP([8, 3]), Frozen(adapting.student), KL())).train()
    adapting.student.norms[0].eval()  # what somebody set stays
    before, found = modes(task), []
    for _ in range(3):
        found.append(adapting.student.training)
        task(data)
    assert found == [True, True, True]
    assert modes(task) == before


@pytest.mark.parametrize("make", [Frozen, Stochastic, EMA], ids=lambda make: make.__name__)
def test_a_model_that_teaches_is_in_the_mode_it_was_in(make):
    model = MLP([8, 16, 3], dropout=0.5)
    model.norms[0].eval()
    teacher, before = make(model), modes(model)
    teacher({"x": torch.randn(10, 8)})
    assert modes(model) == before
    kept = modes(teacher.model)
    teacher({"x": torch.randn(10, 8)})
    assert modes(teacher.model) == kept


def test_a_student_that_teaches_itself_and_is_measured_goes_on_training():
    data, model, found = clusters(), MLP([16, 16, 4], dropout=0.5), []
    task = Distiller(model, EMA(model), LABELS + KL(where="train_mask"))
    model.register_forward_pre_hook(lambda module, _: found.append(module.training))

    def metric(served: nn.Module) -> float:
        return float(served.eval()(data["x"]).mean())  # which leaves it in eval mode

    fit(task, data, epochs=3, metric=metric, progress=False)
    assert found == [True, False] * 3


# ---------------------------------------------------------------------------------------------- weight decay
def decayed(method: str, decay: float, student: nn.Module, teacher: Any, data: Any, **options: Any) -> float:
    adam = partial(torch.optim.Adam, lr=0.01, weight_decay=decay)
    torch.manual_seed(1)
    found = graphkd.distil(method, student, teacher, data, optimizer=adam, progress=False, **options)
    return found.scores["test"]["accuracy"]


@pytest.mark.parametrize("temperature", [20.0, 40.0])
def test_weight_decay_does_not_outweigh_soft_targets_of_a_high_temperature(temperature):
    data, options = clusters(), {"epochs": 150, "temperature": temperature}
    found = [decayed("defensive", decay, net(), net(), data, **options) for decay in (0.005, 0.0)]
    assert found[0] == pytest.approx(found[1], abs=0.03)
    assert min(found) > 0.75


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("domain_weights", {"sources": torch.arange(300) % 3 - 1}),
        ("mcd", {"domains": (torch.arange(300) >= 60).long(), "hidden": "lins.0"}),
    ],
)
def test_nor_those_of_domains(method, settings):
    data = clusters()
    teacher = trained(data, "train_mask")
    teachers = [teacher, copy.deepcopy(teacher)] if method == "domain_weights" else teacher
    options = {"epochs": 100, "temperature": 20.0, **settings}
    found = [decayed(method, decay, net(), teachers, data, **options) for decay in (0.005, 0.0)]
    assert found[0] == pytest.approx(found[1], abs=0.05)


def test_losses_without_the_square_of_the_temperature_say_what_decay_does():
    for loss in (graphkd.losses.SoftCE, KL, graphkd.losses.VirtualTeacher):
        text = " ".join((loss.__doc__ or "").split())
        assert "weight decay in the gradient" in text
        assert "AdamW's" in text


# ---------------------------------------------------------------------------------------------- loaders
LISTED = [
    "takd",
    "ban",
    "noisy_student",
    "metadistil",
    "phased_labels",
    "tri_training",
    "tmkd",
    "voted_triplets",
    "oracle",
    "guided_search",
    "munge",
    "cycada",
    "bidirectional",
    "pate",
    "validation_weights",
    "parallel_data",
    "function_matching",
]
WITHOUT_IDS = {"takd", "ban", "tmkd", "voted_triplets", "munge", "function_matching"}


def graphs(n_id: str) -> DataLoader:
    found = []
    for number in range(4):
        torch.manual_seed(number)
        place = torch.arange(10)
        masks = {"train_mask": place < 6, "val_mask": place >= 6, "test_mask": place >= 6}
        ids = {"none": {}, "anew": {"n_id": place}, "on": {"n_id": place + 10 * number}}[n_id]
        edges = torch.randint(0, 10, (2, 30))
        y = torch.arange(10) % 3
        found.append(Data(x=torch.randn(10, 4), edge_index=edges, y=y, **masks, **ids))
    return DataLoader(found, 2)


@pytest.mark.parametrize("name", LISTED)
def test_a_loader_of_graphs_is_taken_or_refused_in_our_words(name):
    row = METHODS[name]
    make = lambda: MLP([4, 8, 3], norm=None)  # noqa: E731
    teacher = [make(), make()] if "teachers" in row.needs else make() if row.teacher else None
    options: dict[str, Any] = {"epochs": 1, "progress": False, "hidden": "lins.0"}
    if "domains" in row.needs:
        options["domains"] = torch.arange(40) % 2
    if "candidates" in row.needs:
        options["candidates"] = [make(), make()]
    student = None if "student" in row.cannot else make()
    run = partial(graphkd.distil, name, student, teacher, **options)
    assert not run(graphs("on")).model.training
    if name in WITHOUT_IDS:
        assert not run(graphs("none")).model.training
        return
    with pytest.raises(ValueError, match=r"which nodes its rows are, as 'n_id'.* that go on from graph to graph"):
        run(graphs("none"))
    with pytest.raises(ValueError, match="'n_id' must number the nodes of all batches, node 0 has other features"):
        run(graphs("anew"))


def test_what_refuses_a_loader_says_why():
    for row in graphkd.methods():
        if "loader" in row.cannot:
            given = {**scene.arguments(row), "data": scene.parts(scene.graph())}
            with pytest.raises(ValueError, match=f"{row.name!r} cannot take a loader: {row.cannot['loader'][:20]}"):
                scene.run(row, given)


# ---------------------------------------------------------------------------------------------- calls
class Weighted(nn.Module):
    """A graph net whose edge weights have a default, as PyG's have."""

    seen: ClassVar[list[bool]] = []

    def __init__(self, seed: int, width: int = 12, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.inner = GCN(scene.FEATURES, width, 2, scene.CLASSES, dropout=dropout)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        type(self).seen.append(edge_weight is not None and edge_weight.size(0) == edge_index.size(1))
        return self.inner(x, edge_index, edge_weight)


DOZEN = [
    "kd",
    "dml",
    "kdgan",
    "okddip",
    "ban",
    "takd",
    "noisy_student",
    "metadistil",
    "rl_kd",
    "amtml",
    "sftn",
    "sskd",
    "tscl",
    "byot",
    "must",
    "ard",
    "adversarial_output",
    "progressive_adaptation",
    "pate",
    "function_matching",
    "mean_teacher",
    "stochastic",
    "fedavg",
    "feddf",
]


@pytest.mark.parametrize("name", DOZEN)
def test_edge_weights_reach_students_and_teachers(name):
    row, data = METHODS[name], scene.graph()
    data.edge_weight = torch.rand(data.num_edges)
    given = {**scene.arguments(row), "student": Weighted(5), "hidden": "inner.convs.0"}
    if row.teacher or name in ("ban", "defensive"):
        teachers = [Weighted(1), Weighted(2), Weighted(3)]
        given["teacher"] = teachers if "teachers" in row.needs else teachers[0]
    given["data"] = graphkd.Clients([data, data]) if "clients" in row.needs else data
    given |= {"public": data} if "public" in row.needs else {}
    given |= {"other_teacher": Weighted(4)} if "other_teacher" in row.needs else {}
    Weighted.seen = []
    scene.run(row, given)
    assert Weighted.seen
    assert all(Weighted.seen)


# ---------------------------------------------------------------------------------------------- labels without a mask
def every(rows: int = 30) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {"x": torch.randn(rows, 16), "y": torch.arange(rows) % 4}


def hand_made(where: str | None) -> dict[str, nn.Module]:
    """Trainables that read labels, told which rows have some."""
    labels = CE(where=where)
    choice = TeacherChoice(net(), [net(), net()], 4, 30, where=where, warm=0)
    return {
        "Peers": Peers([net(), net()], each_other, labels=labels),
        "KDGAN": KDGAN(net(), net(), net(), labels=labels, where=where, targets="y"),
        "TeacherChoice": choice,
        "StudentFriendly": StudentFriendly(net(), {"branch": ("lins.0", nn.Linear(16, 4))}, where=where),
    }


@pytest.mark.parametrize("name", hand_made(None))
def test_without_a_mask_all_rows_may_be_labelled(name):
    student = fit(hand_made(None)[name], every(), epochs=2, progress=False)
    assert not student.training


@pytest.mark.parametrize("name", hand_made(None))
def test_a_mask_that_is_not_there_is_asked_for_by_its_argument(name):
    with pytest.raises(KeyError, match="where='train_mask'"):
        fit(hand_made("train_mask")[name], every(), epochs=1, progress=False)


@pytest.mark.parametrize("name", ["KDGAN", "TeacherChoice", "StudentFriendly"])
def test_a_split_may_be_row_numbers(name):
    data, place = every(), torch.arange(30)
    found = []
    for mask in (place < 10, place[:10]):
        torch.manual_seed(3)
        fitted = fit(hand_made("train_mask")[name], {**data, "train_mask": mask}, epochs=2, progress=False)
        found.append(fitted.lins[0].weight)
    assert torch.equal(*found)
    with pytest.raises(TypeError, match="must be a boolean mask or node ids, got 30 numbers that are all 0 or 1"):
        fit(hand_made("train_mask")[name], {**data, "train_mask": (place < 10).long()}, epochs=1, progress=False)


def test_online_methods_on_graphs_of_which_all_rows_are_labelled():
    data = {**every(), "train_mask": torch.ones(30, dtype=torch.bool)}
    for name in ("dml", "ban", "kdgan"):
        teacher = net() if METHODS[name].teacher else None
        result = graphkd.distil(name, net(), teacher, data, task=NodeClassification(), epochs=2, progress=False)
        assert not result.model.training
