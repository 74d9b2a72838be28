"""What a tap shows is what the layer gave; hooks live as long as one call."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.nn import MLP, GATConv, HGTConv

from graphkd import EMA, Cached, Distiller, Ensemble, Frozen, fit
from graphkd.core.taps import Taps
from graphkd.core.view import Viewer
from graphkd.losses import AT, KL, RKD, FeatureDistance
from graphkd.schemes import Exits, Peers, TaskHeads, each_other
from tests.core.models import CLASSES, gcn, graph
from tests.door.test_calls import hetero

TAPS = {"hidden": "convs.0"}
X = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))


def hooks(*models) -> int:
    """Hooks on the modules of some models."""
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for model in models for module in model.modules()
    )


# ------------------------------------------------------------- in place
class InPlace(nn.Module):
    """Works in place on what its first layer gave."""

    def __init__(self, how: str):
        super().__init__()
        self.how = how
        self.a, self.act, self.b = nn.Linear(4, 8), nn.ReLU(inplace=how == "module"), nn.Linear(8, 2)

    def forward(self, x):
        hidden = self.a(x)
        if self.how == "relu":
            F.relu(hidden, inplace=True)
        elif self.how == "residual":
            hidden += 1
        elif self.how == "dropout":
            F.dropout(hidden, 0.5, self.training, inplace=True)
        elif self.how == "index":
            hidden[:, 0] = 0
        elif self.how == "view":
            hidden.view(-1)[::2] *= 2
        elif self.how == "sometimes" and bool(x.sum() > 1e3):
            hidden *= 2
        return self.b(self.act(hidden))


@pytest.mark.parametrize("how", ["module", "relu", "residual", "dropout", "index", "view", "none"])
def test_a_layer_is_seen_as_it_was(how):
    model = InPlace(how)
    viewer = Viewer(model, taps={"hidden": "a"})
    for training in (True, True, False, True, False, False):
        model.train(training)
        seen = viewer({"x": X})["hidden"]
        assert torch.equal(seen, model.a(X))
    (slope,) = torch.autograd.grad(seen.sum(), [model.a.weight])
    torch.testing.assert_close(slope, X.sum(0).expand(8, 4))


def test_nothing_is_copied_where_nothing_is_written():
    viewer, model = Viewer(InPlace("none"), taps={"hidden": "a"}), InPlace("none")
    viewer({"x": X})
    seen = viewer({"x": X})["hidden"]
    assert type(seen.grad_fn).__name__ == "AddmmBackward0"
    assert not model.act.inplace


def test_two_equal_layers_have_no_distance():
    student, teacher = InPlace("module"), InPlace("none")
    teacher.load_state_dict(student.state_dict())
    task = Distiller(student, teacher, FeatureDistance(on="hidden"), taps={"hidden": "a"})
    assert task({"x": X}).loss == 0


@pytest.mark.parametrize("how", ["module", "relu", "dropout"])
def test_an_input_is_seen_as_it_was_before_the_layer(how):
    class Layers(nn.Sequential):
        def forward(self, x):
            return super().forward(x)

    act = {"module": nn.ReLU(inplace=True), "relu": nn.ELU(inplace=True), "dropout": nn.Dropout(0.5, inplace=True)}[how]
    model = Layers(nn.Linear(4, 8), act, nn.Linear(8, 2))
    for _ in range(2):
        view = Viewer(model, taps={"before": "1:in", "after": "1"})({"x": X})
        assert torch.equal(view["before"], model[0](X))
        assert (view["after"] != view["before"]).any()


def test_an_input_given_by_name_is_seen():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 2)

        def forward(self, x):
            return self.a(input=x * 2)

    assert torch.equal(Viewer(Named(), taps={"before": "a:in"})({"x": X})["before"], X * 2)


def test_a_tensor_written_to_for_once_is_not_shown_wrong():
    model = InPlace("sometimes").eval()
    viewer = Viewer(model, taps={"hidden": "a"})
    viewer({"x": X})
    large = X + 1e3
    with pytest.raises(ValueError, match=r"tap 'hidden' \('a'\) saw a tensor that was written to in this call.*again"):
        viewer({"x": large})
    assert torch.equal(viewer({"x": large})["hidden"], model.a(large))


def test_layers_are_seen_in_inference_mode():
    model = InPlace("residual").eval()
    with torch.inference_mode():
        assert torch.equal(Viewer(model, taps={"hidden": "a"})({"x": X})["hidden"], model.a(X))


def test_statistics_of_batch_norm_are_shown_as_they_were():
    class Shows(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4)

        def forward(self, x):
            return {"logits": self.norm(x), "mean": self.norm.running_mean, "weight": self.norm.weight}

    model = Shows()
    first = Viewer(model)({"x": X})
    before = first["mean"].clone()
    Viewer(model)({"x": X + 100})
    assert torch.equal(first["mean"], before)
    assert first["weight"] is model.norm.weight  # a parameter, which a loss may train


# ------------------------------------------------------------- parts
class Two(nn.Linear):
    def forward(self, x):
        return super().forward(x), {"paper": x, ("a", "to", "b"): x + 1}


class Parts(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.lstm = Two(4, 8), nn.Linear(8, 2), nn.LSTM(8, 3)

    def forward(self, x):
        self.a(x + 1)
        self.lstm(self.a(x)[0])
        return self.b(self.a(x)[0])


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("a[0]#1", lambda m: m.a(X)[0]),
        ("a#1[0]", lambda m: m.a(X)[0]),
        ("a#0[1][paper]", lambda m: X + 1),
        ("a[1][a,to,b]#2", lambda m: X + 1),
        ("a#0:in", lambda m: X + 1),
        ("a:in#2", lambda m: X),
        ("lstm[1][0]", lambda m: m.lstm(m.a(X)[0])[1][0]),
        ("lstm:in", lambda m: m.a(X)[0]),
    ],
)
def test_a_part_of_what_a_layer_gives_is_named(path, want):
    model = Parts()
    assert torch.equal(Viewer(model, taps={"hidden": path})({"x": X})["hidden"], want(model))


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("a#0", TypeError, r"must see a tensor, got tuple of 2: name a part, 'a#0\[0\]' or 'a#0\[1\]'"),
        ("a#0[1]", TypeError, r"got dict of 2: name a part, 'a#0\[1\]\[paper\]' or 'a#0\[1\]\[a,to,b\]'"),
        ("lstm", TypeError, r"got tuple of 2: name a part, 'lstm\[0\]'"),
        ("a#0[2]", TypeError, r"tap 'hidden' \('a#0\[2\]'\): tuple of 2 has no part '2'"),
        ("a#0[1][author]", TypeError, "dict of 2 has no part 'author'"),
        ("b[0]", TypeError, "Tensor has no part '0'"),
        ("a[0]", ValueError, r"saw 3 calls; choose one, the first as 'a\[0\]#0'"),
    ],
)
def test_what_is_no_tensor_names_the_parts(path, error, words):
    with pytest.raises(error, match=words):
        Viewer(Parts(), taps={"hidden": path})({"x": X})


def test_attention_of_a_convolution_is_tapped():
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = GATConv(6, 8)

        def forward(self, x, edge_index):
            return self.conv(x, edge_index, return_attention_weights=True)[0]

    data, taps = graph(), {"hidden": "conv[0]", "attention": "conv[1][1]"}
    view = Viewer(Attends(), taps=taps)(data)
    assert view["hidden"].shape == (30, 8)
    assert view["attention"].dim() == 2


def test_a_type_of_a_heterogeneous_convolution_is_tapped():
    class Types(nn.Module):
        def __init__(self, data):
            super().__init__()
            self.conv, self.lin = HGTConv(4, 8, data.metadata()), nn.Linear(8, 2)

        def forward(self, x_dict, edge_index_dict):
            return self.lin(self.conv(x_dict, edge_index_dict)["paper"])

    data = hetero()
    models = [Types(data) for _ in range(2)]
    task = Distiller(*models, FeatureDistance(on="hidden"), taps={"hidden": "conv[paper]"})
    assert task(data).loss > 0
    with pytest.raises(TypeError, match=r"must see a tensor, got dict of 1: name a part, 'conv\[paper\]'"):
        Distiller(*models, FeatureDistance(on="hidden"), taps={"hidden": "conv"})(data)


def test_attention_of_many_heads_is_tapped():
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2)

        def forward(self, x):
            return self.attention(x, x, x)[0]

    view = Viewer(Attends(), taps={"weights": "attention[1]", "rows": "attention[0]"})({"x": X})
    assert view["weights"].shape == (20, 20)
    assert torch.equal(view["rows"], view["logits"])


def test_models_that_share_a_trunk_take_tap_paths():
    from graphkd.schemes import shared_trunk

    models = shared_trunk([Parts(), Parts()], "a[0]#1", "b:in")
    assert models[0].a is models[1].a
    assert models[0].b is models[1].b


# ------------------------------------------------------------- hooks
def stop(report):
    raise KeyboardInterrupt


def test_no_hook_is_left_after_an_interrupt():
    student, teacher, data = gcn(1), gcn(2), graph()
    task = Distiller(student, teacher, RKD(), taps=TAPS)
    with pytest.raises(KeyboardInterrupt):
        fit(task, data, epochs=3, log=stop)
    assert hooks(student, teacher) == 0


@pytest.mark.parametrize("where", ["student", "teacher", "loss"])
def test_no_hook_is_left_after_an_exception(where):
    class Fails(type(gcn())):
        def forward(self, x, edge_index):
            super().forward(x, edge_index)
            raise RuntimeError("on the way")

    student, teacher, data = gcn(1), gcn(2), graph()
    if where != "loss":
        broken = student if where == "student" else teacher
        broken.__class__ = Fails
    loss = RKD() if where != "loss" else FeatureDistance()
    task = Distiller(student, gcn(2, width=9) if where == "loss" else teacher, loss, taps=TAPS)
    with pytest.raises((RuntimeError, ValueError)):
        task(data)
    assert hooks(student, teacher) == 0


def test_distillers_that_are_never_fitted_leave_no_hook():
    student, teacher = gcn(1), gcn(2)
    kept = [Distiller(student, teacher, RKD(), taps=TAPS) for _ in range(50)]
    assert hooks(student, teacher) == 0
    last = weakref.ref(kept[-1])
    del kept
    gc.collect()
    assert last() is None


def test_a_distiller_is_fitted_again():
    task, data = Distiller(gcn(1), gcn(2), RKD() + KL(), taps=TAPS), graph()
    fit(task, data, epochs=1)
    step = task(data)
    assert set(step.terms) == {"rkd", "kl"}
    fit(task, data, epochs=1, optimizer=lambda parameters: torch.optim.SGD(parameters, 0.1))
    task.close()
    assert task(data).loss.isfinite()
    assert hooks(task.student, task.teacher.model) == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda data: Exits(gcn(1), ["convs.0"], data, labels=_labels()),
        lambda data: Peers([gcn(1), gcn(2)], each_other, labels=_labels(), hidden="convs.0"),
        lambda data: Distiller(TaskHeads(gcn(1), "convs.0", {"other": nn.Linear(8, 2)}), gcn(2), KL()),
        lambda data: Distiller(gcn(1), EMA(gcn(1)), RKD(), taps=TAPS),
    ],
    ids=["Exits", "Peers", "TaskHeads", "EMA"],
)
def test_every_trainable_is_fitted_again(make):
    data = graph()
    task = make(data)
    for _ in range(2):
        fit(task, data, epochs=1)
        assert task(data).loss.isfinite()
    assert hooks(task) == 0


def _labels():
    from graphkd.losses import CE

    return CE(where="train_mask")


@pytest.mark.parametrize(
    "wrap", [Frozen, Cached, lambda model: Ensemble([model, gcn(3)])], ids=["Frozen", "Cached", "Ensemble"]
)
def test_distillers_share_a_teacher(wrap):
    data, model = graph(), gcn(2)
    teacher = wrap(model)
    one = Distiller(gcn(1), teacher, RKD(), taps=TAPS)
    want = float(one(data).loss.detach())
    other = Distiller(gcn(1), teacher, AT(on="hidden"), taps={"hidden": "convs.1"})
    plain = Distiller(gcn(1), teacher, KL())
    alone = float(Distiller(gcn(1), wrap(model), AT(on="hidden"), taps={"hidden": "convs.1"})(data).loss.detach())
    for _ in range(2):
        assert float(one(data).loss.detach()) == want
        assert float(other(data).loss.detach()) == pytest.approx(alone)
        assert plain(data).loss.isfinite()


def test_models_stay_picklable_copyable_and_compilable():
    data, student, teacher = graph(), gcn(1), gcn(2)
    task = Distiller(student, teacher, RKD(), taps=TAPS)
    want = task(data).loss
    assert b"graphkd" not in pickle.dumps(student)
    assert torch.equal(copy.deepcopy(task)(data).loss, want)
    assert torch.equal(pickle.loads(pickle.dumps(task))(data).loss, want)
    compiled = torch.compile(student, backend="eager")
    assert torch.equal(compiled(data.x, data.edge_index), student(data.x, data.edge_index))


def test_a_compiled_student_is_tapped_whenever_it_was_compiled():
    data, model = graph(), gcn(1)
    want = model.convs[0](data.x, data.edge_index)
    compiled = torch.compile(model, backend="eager")
    compiled(data.x, data.edge_index)  # compiled without a tap
    for path, seen in (("convs.0", want), ("convs.1:in", want.relu()), ("convs.0", want)):
        assert torch.equal(Viewer(compiled, taps={"hidden": path})(data)["hidden"], seen)
    inside = gcn(1)
    inside.convs[0].compile(backend="eager")
    inside(data.x, data.edge_index)
    assert torch.equal(Viewer(inside, taps=TAPS)(data)["hidden"], want)


def test_paths_are_looked_up_once():
    data, model = graph(), gcn(1)
    viewer, asked = Viewer(model), []
    named = model.named_modules
    model.named_modules = lambda **options: asked.append(options) or named(**options)
    for _ in range(3):
        assert "hidden" in viewer(data, TAPS)
        assert list(viewer(data)) == ["logits"]
    assert asked.count({}) == 1


def test_calls_of_one_model_within_another_do_not_mix():
    inner, seen = MLP([4, 8, CLASSES]), []

    def nested(model, batch):
        seen.append(Viewer(model, taps={"hidden": "lins.0"})({"x": batch["x"] + 1})["hidden"])
        return model(batch["x"])

    viewer = Viewer(inner, taps={"hidden": "lins.0#1"}, call=nested)
    assert torch.equal(viewer({"x": X})["hidden"], inner.lins[0](X))
    assert torch.equal(seen[0], inner.lins[0](X + 1))


def test_taps_of_a_wrong_path_are_refused_at_once():
    for make in (lambda: Taps(gcn(), {"h": "conv.0"}), lambda: Distiller(gcn(), gcn(), KL(), taps={"h": "conv.0"})):
        with pytest.raises(ValueError, match=r"GCN has no sub-module 'conv.0'; near: \['convs.0'"):
            make()
    with pytest.raises(ValueError, match="GCN has no sub-module 'nowhere'"):
        Viewer(gcn())(graph(), {"h": "nowhere"})
