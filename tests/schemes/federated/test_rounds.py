"""Rounds of all methods: what they learn, what is refused, and runs that are broken off."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import graphkd
from tests.core.models import gcn, graph
from tests.lanes import thinned
from tests.schemes.federated import scene
from tests.schemes.federated.scene import PARTS, apart, part, run

FEDERATED = list(graphkd.methods(family="federated"))
MIXED = ("alone", "feddf", "fedaux", "fedmd", "era", "cronus", "cfd", "mhat", "fedgems")


def test_there_are_eighteen():
    assert len(FEDERATED) == 18
    assert all("clients" in row.needs for row in FEDERATED)


@pytest.mark.parametrize("name", MIXED)
def test_models_may_differ(name):
    first, second = run(name, mixed=True).model, run(name, mixed=True).model
    assert apart(first, second) == 0
    assert all(bool(tensor.isfinite().all()) for tensor in first.state_dict().values())
    assert not first.training


def test_a_round_has_a_stage_for_every_training():
    found = run("cfd")
    stages = list(dict.fromkeys(report["stage"] for report in found.history))
    learnt = [f"round-1-client-{who}" for who in (1, 2, 3)]
    digests = [f"round-2-client-{who}-digest" for who in (1, 2, 3)]
    later = [f"round-2-client-{who}" for who in (1, 2, 3)]
    assert stages == [*learnt, "round-1-server-0", *digests, *later, "round-2-server-0"]
    epochs = [report["epoch"] for report in found.history]
    assert max(epochs) == 4  # of the server and digests; three of own rows


class BrokenError(RuntimeError):
    """What breaks a run off."""


BROKEN = {  # where: in a round that is not the first, or in what comes before it
    "fedmd": (25, {}),
    "fedmd-transfer": (5, {"transfer": True}),
    "fedmd-revisit": (37, {}),
    "feddf": (14, {}),
    "fedftg": (17, {}),
    "fedbe": (24, {}),
    "fedbe-cycle": (11, {}),
    "fedaux": (3, {"pretrain_epochs": 5}),
    "fedaux-hidden": (20, {"pretrain_epochs": 5, "hidden": "convs.0", "epsilon": 0.5}),
    "cfd": (29, {"bits": 2}),
    "era": (29, {}),
}


@pytest.mark.parametrize("case", thinned(BROKEN, 5))
def test_a_run_goes_on_from_its_own_models_whatever_come_now(case, tmp_path):
    name, (at, settings) = case.split("-")[0], BROKEN[case]
    mixed = name not in ("fedftg", "fedbe") and "hidden" not in settings

    def go(folder, **options):
        return run(name, mixed=mixed, checkpoint=tmp_path / folder, save_every=1, **settings, **options).model

    def breaks(_):
        seen.append(None)
        if len(seen) == at:
            raise BrokenError

    seen: list = []
    whole = go("whole")
    with pytest.raises(BrokenError):
        go("broken", log=breaks)
    others = [model.apply(shaken) for model in scene.models()]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scene, "models", lambda: others)
        assert apart(go("broken", resume=True), whole) == 0


def shaken(module: nn.Module) -> None:
    for parameter in module.parameters(recurse=False):
        parameter.data.add_(1.0)


def test_what_is_missing_is_told():
    for name in ("feddf", "fedmd", "mhat", "fedssd"):
        with pytest.raises(ValueError, match=f"{name!r} needs rows that all clients see: give public=data"):
            graphkd.distil(name, gcn(0), None, scene.clients())
    with pytest.raises(ValueError, match=r"'fedavg' needs what each client holds, as data: give .*Clients\(\["):
        graphkd.distil("fedavg", gcn(0), None, [part(rows) for rows in PARTS])
    with pytest.raises(ValueError, match="'kd' learns from one graph or loader: give that as 'data', got Clients"):
        graphkd.distil("kd", gcn(0), gcn(1), scene.clients())
    with pytest.raises(ValueError, match=r"give 'student', or Clients\(data, students=\[...\]\), got neither"):
        graphkd.distil("fedavg", None, None, scene.clients())
    with pytest.raises(ValueError, match="clients teach one another: give None as 'teacher'"):
        graphkd.distil("fedavg", gcn(0), gcn(1), scene.clients())
    with pytest.raises(ValueError, match="'rounds' must be at least 1, got 0"):
        run("fedavg", rounds=0)
    with pytest.raises(TypeError, match="'public' must be one batch of rows that all see, got list"):
        run("feddf", public=[scene.public()])


def test_one_model_is_judged_on_the_whole_graph_or_by_the_mean_over_clients():
    whole = graph()
    own = run("fedavg", task=graphkd.tasks.NodeClassification()).scores
    found = run("fedavg", task=graphkd.tasks.NodeClassification(evaluate_on=whole))
    with torch.no_grad():
        right = found.model(whole.x, whole.edge_index).argmax(dim=1) == whole.y
        each = []
        for data in scene.clients():
            hits = found.model(data.x, data.edge_index).argmax(dim=1) == data.y
            each.append(float(hits[data.test_mask].float().mean()))
    assert found.scores["test"]["accuracy"] == pytest.approx(float(right[whole.test_mask].float().mean()))
    assert found.scores["val"]["accuracy"] == pytest.approx(float(right[whole.val_mask].float().mean()))
    assert own["test"]["accuracy"] == pytest.approx(sum(each) / 3)
