"""The student of every method in files of torch.export and ONNX, or the reason why it has none."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from torch import Tensor, nn

import graphkd
from graphkd.core.card import architecture
from graphkd.core.method import Metadata
from graphkd.gnn.nosmog import Positioned
from graphkd.serving import export
from tests.gnn import test_gfkd as gfkd
from tests.methods import other_tasks, scene

ROWS = {row.name: row for row in graphkd.methods()}
# Methods whose results have no file, and the words of the refusal.
REFUSED = {
    "cpf_ind": "propagates labels over the one graph that it was trained on: its answers, .* serve the same nodes",
    "cpf_tra": "propagates labels over the one graph that it was trained on: its answers, .* serve the same nodes",
    "tinygnn": "finds the peers of each graph anew, outside of torch: ask it in torch, or keep its answers in a table",
    "white_to_black": "must answer by a tensor, or a tuple of them, to be exported, got dict",  # no student: an attack
}
SEEN: dict[tuple[str, str | None], str] = {}  # file and architecture -> method: many methods give the same


# Method -> what it alone is given.
OWN: dict[str, dict[str, Any]] = {
    "gfkd": {"student": gfkd.Classifier(1), "teacher": gfkd.teacher(), "data": None, "hidden": None, **gfkd.SMALL},
    "mugsi": {"student": None, "teacher": other_tasks.Pooled(1, 12), "layers": ("conv", "embed")},
}


def distilled(row: Metadata) -> nn.Module:
    kind = row.tasks[0]
    if kind in scene.KINDS:
        return scene.run(row).model
    return other_tasks.run(row, kind, **OWN.get(row.name, {})).model


def example(model: nn.Module) -> dict[str, Tensor]:
    """What the student is called with, of the graph of the scene; one of graphs is asked about that one."""
    data = scene.graph()
    width = gfkd.WIDTH if isinstance(model, gfkd.Classifier) else data.num_features
    known = {"x": data.x[:, :width], "edge_index": data.edge_index, "edge_label_index": data.edge_index[:, :5]}
    if isinstance(model, Positioned):
        known["position"] = model.position
    return {name: known[name] for name in inspect.signature(model.forward).parameters if name in known}


def test_few_have_no_file():
    assert len(REFUSED) <= 5
    assert REFUSED.keys() <= ROWS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_exports(name, tmp_path):
    pytest.importorskip("onnxruntime")
    model = distilled(ROWS[name])
    for suffix in ("pt2", "onnx"):
        path = tmp_path / f"student.{suffix}"
        if name in REFUSED:
            with pytest.raises(TypeError, match=REFUSED[name]):
                export(model, example(model), path)
        elif (suffix, architecture(model)) not in SEEN:
            assert export(model, example(model), path)["exported"]["same_class"] in (1, None)  # of numbers alone
            SEEN[suffix, architecture(model)] = name
