"""The door of ``graphkd.distil``: what is refused, with which words, and what comes out."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch_geometric.loader import RandomNodeLoader

import graphkd
from graphkd import Cached, Distilled, Ensemble
from tests.core.models import gcn, graph
from tests.methods.scene import Odd, call, parts


def run(method, student=None, teacher=None, data=None, **options):
    options = {"epochs": 2, "progress": False, **options}
    return graphkd.distil(method, gcn(2) if student is None else student, teacher, data or graph(), **options)


def test_the_result_says_what_it_is(tmp_path):
    result = run("kd", teacher=gcn(1), temperature=2.0)
    assert result.method == "kd"
    assert set(result.scores) == {"val", "test"}
    assert [(report["stage"], report["epoch"]) for report in result.history] == [("student", 1), ("student", 2)]
    result.save(tmp_path / "student")
    card = json.loads((tmp_path / "student" / "card.json").read_text())
    assert (card["method"], card["seed"], card["scores"]) == ("kd", 0, result.scores)
    assert card["settings"]["temperature"] == 2.0
    assert card["versions"]["torch"] == torch.__version__
    assert card["data"].startswith("Data ")
    known = Distilled.load(tmp_path / "student", gcn(7))
    assert known.scores == result.scores
    pairs = zip(known.model.state_dict().values(), result.model.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert not known.model.training


def test_a_saved_student_is_refused_by_another_architecture(tmp_path):
    run("none").save(tmp_path)
    with pytest.raises(ValueError, match="'model' must be the architecture that was saved, GCN"):
        Distilled.load(tmp_path, gcn(1, width=3))
    with pytest.raises(FileNotFoundError, match=r"has no model.safetensors"):
        Distilled.load(tmp_path / "nowhere", gcn(1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "kdd", "teacher": gcn(1)}, "there is no method 'kdd'; the nearest are 'kd'"),
        ({"method": "kd"}, "'kd' needs a teacher: give 'teacher', got None"),
        (
            {"method": "kd", "teacher": [gcn(1), gcn(3)]},
            "'kd' learns from one teacher, got 2: give one, or an Ensemble",
        ),
        ({"method": "rkd", "teacher": gcn(1)}, "'rkd' needs the path of a hidden layer.*give hidden='convs.0'"),
        (
            {"method": "rkd", "teacher": gcn(1), "hidden": ("convs.0", "a", "b")},
            "'hidden' and 'call' are one value, a pair .*1 teachers, got 3",
        ),
        ({"method": "ft", "teacher": gcn(1), "hidden": "conv.0"}, "no sub-module 'conv.0'; near: .*'convs.0'"),
    ],
)
def test_what_is_missing_is_named_and_shown(arguments, words):
    with pytest.raises(ValueError, match=words):
        run(**arguments)


def test_a_setting_that_is_not_there_is_refused():
    with pytest.raises(TypeError, match="'kd' has no setting 'temprature'; did you mean 'temperature'"):
        run("kd", teacher=gcn(1), temprature=2.0)


def test_a_teacher_that_is_none_is_refused():
    with pytest.raises(TypeError, match="'teacher' must be a module or a teacher, or a list of such, got str"):
        run("kd", teacher="gcn")


def test_data_without_labels_ask_for_a_task():
    data = graph()
    del data.y
    with pytest.raises(ValueError, match="'task' says what is predicted"):
        run("none", data=data)


def test_a_student_is_asked_for():
    with pytest.raises(ValueError, match="'kd' trains the student that it is given: give 'student', got None"):
        graphkd.distil("kd", None, gcn(1), graph())


def test_one_call_is_for_both_and_a_pair_for_each():
    plain = run("kd", teacher=gcn(1))
    odd = run("kd", Odd(gcn(2)), Odd(gcn(1)), call=call)
    pair = run("kd", gcn(2), Odd(gcn(1)), call=(None, call))
    for other in (odd, pair):
        assert other.scores == plain.scores
        for one, two in zip(plain.model.state_dict().values(), other.model.state_dict().values(), strict=True):
            assert torch.equal(one, two)


def test_a_loader_is_judged_on_all_its_nodes():
    data = graph()
    data.edge_index = data.edge_index[:, :0]  # batches lose no edge
    whole, by_batch = run("none", data=data, epochs=0), run("none", data=parts(data), epochs=0)
    assert whole.scores == by_batch.scores


def test_teachers_of_any_kind_teach():
    data, teacher = graph(), gcn(1)
    plain = run("kd", teacher=teacher, data=data)
    for other in (Cached(teacher, data), Ensemble([teacher])):
        found = run("kd", teacher=other, data=data)
        pairs = zip(plain.model.state_dict().values(), found.model.state_dict().values(), strict=True)
        for one, two in pairs:
            torch.testing.assert_close(one, two)


def test_hooks_are_gone_afterwards():
    teacher = gcn(1)
    result = run("rkd", teacher=teacher, hidden="convs.0")
    for model in (teacher, result.model):
        assert not any(module._forward_hooks for module in model.modules())


def test_the_log_hears_of_every_epoch_and_stage():
    heard: list = []
    run("ban", teacher=gcn(1), generations=2, log=heard.append)
    assert [(report["stage"], report["epoch"]) for report in heard] == [
        ("generation-1", 1),
        ("generation-1", 2),
        ("generation-2", 1),
        ("generation-2", 2),
    ]


def test_a_method_of_ones_own_is_a_function_of_a_problem():
    def mine(problem, *, share: float = 0.5):
        seen.append((problem.nodes, problem.classes, problem.widths, problem.features, problem.task.kind))
        return share * problem.supervised() + (1 - share) * problem.soft(1.0)

    seen: list = []
    result = run(mine, gcn(2, width=4), gcn(1, width=6), hidden="convs.0", share=0.2)
    assert result.method == "mine"
    assert seen == [(30, 3, (4, 6), 6, "node_classification")]


def test_the_student_may_be_on_no_device_of_its_own():
    class Constant(nn.Module):
        def forward(self, x):
            return x[:, :3]

    with pytest.raises(ValueError, match="must have parameters to train, Distiller has none"):
        run("none", Constant())


@pytest.mark.parametrize("method", ["kd", "takd", "crd"])
def test_a_loader_that_shuffles_draws_nothing_outside(method):
    data = graph()
    data.n_id = torch.arange(data.num_nodes)
    loader, student, teacher = RandomNodeLoader(data, 3, shuffle=True), gcn(2), gcn(1)
    before = torch.get_rng_state()
    graphkd.distil(method, student, teacher, loader, hidden="convs.0", epochs=2, progress=False)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_teacher_that_draws_is_cached_under_a_seed_of_its_own():
    class Noisy(nn.Module):
        def forward(self, x):
            return x[:, :3] + torch.rand(())

    data = graph()
    shown = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        shown.append(Cached(Noisy(), data)(data)["logits"])
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*shown)
