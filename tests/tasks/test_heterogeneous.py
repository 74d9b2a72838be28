"""Nodes of one type of heterogeneous data: models that see types, and students that see features alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import MLP, GraphSAGE, HeteroConv, SAGEConv, to_hetero

import graphkd
from graphkd import Cached
from graphkd.core.batches import changed
from graphkd.loaders import neighbour_loader
from graphkd.tasks import MultiLabelNodeClassification, NodeClassification

CLASSES, PAPERS, AUTHORS = 3, 90, 6
TASK = NodeClassification(node_type="paper")
WRITES, WRITTEN = ("author", "writes", "paper"), ("paper", "by", "author")


def papers(seed: int = 0) -> HeteroData:
    """Papers whose class their author tells, and their own words a little."""
    generator = torch.Generator().manual_seed(seed)
    data, place = HeteroData(), torch.arange(PAPERS)
    y = place % CLASSES
    data["paper"].x = nn.functional.one_hot(y, 8) + 2 * torch.randn(PAPERS, 8, generator=generator)
    data["author"].x = torch.eye(AUTHORS)
    data["paper"].y = y
    for number, name in enumerate(("train_mask", "val_mask", "test_mask")):
        data["paper"][name] = place // CLASSES % 3 == number
    author = y * (AUTHORS // CLASSES) + torch.randint(AUTHORS // CLASSES, (PAPERS,), generator=generator)
    data[WRITES].edge_index = torch.stack([author, place])
    data[WRITTEN].edge_index = torch.stack([place, author])
    return data


class Native(nn.Module):
    """Two layers over types; answers for papers."""

    def __init__(self, seed: int = 0, width: int = 16) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.last = (
            HeteroConv({kind: SAGEConv(sizes, out) for kind, sizes in zip((WRITES, WRITTEN), pair, strict=True)})
            for pair, out in (([(AUTHORS, 8), (8, AUTHORS)], width), ([(width, width)] * 2, CLASSES))
        )

    def forward(self, x_dict, edge_index_dict):
        hidden = {kind: x.relu() for kind, x in self.first(x_dict, edge_index_dict).items()}
        return self.last(hidden, edge_index_dict)["paper"]


def by_types(seed: int = 0) -> nn.Module:
    """PyG's way from a homogeneous model to one over types, which answers for all of them."""
    torch.manual_seed(seed)
    return to_hetero(GraphSAGE((-1, -1), 16, 2, CLASSES), papers().metadata())


def student(seed: int = 1) -> MLP:
    torch.manual_seed(seed)
    return MLP([8, 16, CLASSES], norm=None)


def run(method, model, teacher, data, task=TASK, **options):
    return graphkd.distil(method, model, teacher, data, task=task, progress=False, **{"epochs": 30, **options})


@pytest.mark.parametrize("made", [Native, by_types], ids=["native", "to_hetero"])
def test_a_model_over_types_teaches_one_of_features(made):
    data = papers()
    teacher = run("none", made(), None, data, epochs=60)
    assert teacher.scores["test"]["accuracy"] > 0.7
    alone, taught = (run(method, student(), teacher.model, data) for method in ("none", "kd"))
    assert taught.scores["test"]["accuracy"] > alone.scores["test"]["accuracy"] + 0.1
    assert taught.model(data["paper"].x).shape == (PAPERS, CLASSES)


@pytest.mark.parametrize(("made", "path"), [(Native, "first[paper]"), (by_types, "act.paper")])
def test_hidden_layers_are_those_of_the_type(made, path):
    data, teacher = papers(), made()
    run("none", teacher, None, data, epochs=1)  # learns its widths
    found = run("rkd", student(), teacher, data, hidden=("lins.0", path), epochs=2)
    assert torch.isfinite(found.model(data["paper"].x)).all()


def test_a_kept_teacher_is_called_as_its_owner_says():
    data, teacher = papers(), Native()
    kept = Cached(teacher, data)
    one, two = (run("kd", student(), each, data, epochs=3) for each in (teacher, kept))
    assert torch.equal(one.model(data["paper"].x), two.model(data["paper"].x))


@pytest.mark.parametrize("made", [Native, by_types], ids=["native", "to_hetero"])
def test_a_kept_teacher_looks_at_what_its_model_is_called_with(made):
    data, teacher = papers(), made()
    teacher(data.x_dict, data.edge_index_dict)  # learns its widths
    whole = TASK.prepare(data)
    kept = Cached(teacher, whole, call=TASK.call(None))
    first = kept(whole)["logits"]
    assert torch.equal(kept(changed(whole, drawn=torch.zeros(3)))["logits"], first)
    other = papers()
    other["author"].x = other["author"].x + 1
    with pytest.raises(ValueError, match="was computed on another batch than this one"):
        kept(TASK.prepare(other))
    fewer = papers()
    fewer[WRITES].edge_index = fewer[WRITES].edge_index[:, 1:]
    with pytest.raises(ValueError, match="was computed on another batch than this one"):
        kept(TASK.prepare(fewer))


def test_batches_are_judged_on_the_whole_graph():
    data = papers()
    loader = neighbour_loader(data, [-1, -1], ("paper", data["paper"].train_mask), batch_size=7, shuffle=True)
    task = NodeClassification(node_type="paper", evaluate_on=data)
    teacher = run("none", Native(), None, loader, task, epochs=20)
    assert teacher.scores["test"]["accuracy"] > 0.5
    found = run("kd", student(), teacher.model, loader, task, epochs=5)
    assert set(found.scores) == {"val", "test"}


def test_one_batch_of_all_nodes_is_the_graph():
    data = papers()
    loader = neighbour_loader(data, [-1, -1], "paper", batch_size=PAPERS)
    models = [
        run("kd", student(), Native(), each, NodeClassification(node_type="paper", evaluate_on=data), epochs=3).model
        for each in (data, loader)
    ]
    torch.testing.assert_close(*(model(data["paper"].x) for model in models))


def test_new_labels_of_a_type_are_read_anew():
    data = papers()
    first = TASK.prepare(data)
    data["paper"].y = (data["paper"].y + 1) % CLASSES
    assert torch.equal(TASK.prepare(data)["y"], data["paper"].y)
    assert torch.equal(first["y"], (data["paper"].y - 1) % CLASSES)
    assert "y" not in data._global_store  # what was given stays as it is


def test_a_run_goes_on_with_the_same_bits(tmp_path):
    data = papers()

    def breaks(report):
        if report["epoch"] == 4:
            raise KeyboardInterrupt

    whole = run("kd", student(), Native(), data, epochs=7, checkpoint=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run("kd", student(), Native(), data, epochs=7, checkpoint=tmp_path / "part", log=breaks)
    again = run("kd", student(), Native(), data, epochs=7, checkpoint=tmp_path / "part", resume=True)
    assert all(torch.equal(*pair) for pair in zip(whole.model.parameters(), again.model.parameters(), strict=True))


def test_a_type_must_be_named():
    with pytest.raises(ValueError, match=r"node type that is predicted, of \['paper'\]: give task="):
        run("none", student(), None, papers(), NodeClassification())
    with pytest.raises(ValueError, match=r"\(node_type='paper'\), got 'venue'"):
        run("none", student(), None, papers(), NodeClassification(node_type="venue"))


def test_several_labels_of_a_type():
    data = papers()
    data["paper"].y = nn.functional.one_hot(data["paper"].y, CLASSES).float()
    found = run("none", Native(), None, data, MultiLabelNodeClassification(node_type="paper"), epochs=40)
    assert found.scores["test"]["roc_auc"] > 0.7


REFUSED = [row.name for row in graphkd.methods() if "heterogeneous" in row.cannot]


@pytest.mark.parametrize("name", REFUSED)
def test_methods_of_one_type_of_nodes_refuse_others_by_name(name):
    with pytest.raises(ValueError, match=f"'{name}' cannot take heterogeneous data, here of .*'paper'.*: it "):
        graphkd.distil(name, Native(1), Native(), papers(), task=TASK, hidden="last", progress=False)


def test_some_methods_refuse_them():
    assert {"ard", "pate", "adversarial"} <= set(REFUSED)
