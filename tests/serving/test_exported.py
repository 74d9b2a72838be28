"""Exported models answer as eager torch does, their cards say what they are, and what cannot be exported says why."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_geometric.data import Data
from torch_geometric.nn import GAT, GCN, MLP, GraphSAGE

import graphkd
from graphkd.gnn import PLP, TinyGNN
from graphkd.serving import export
from graphkd.serving.inputs import Inputs
from graphkd.tasks import NodeClassification


def mlp(width=8, classes=3):
    torch.manual_seed(0)
    model = MLP([width, 32, classes], dropout=0.5)
    for _ in range(5):
        model(torch.randn(50, width) + 1)
    return model


def graph(rows=9, edges=20):
    random = torch.Generator().manual_seed(0)
    return torch.randn(rows, 8, generator=random), torch.randint(rows, (2, edges), generator=random)


def check_card(told, path):
    """The card beside the file is what was given back, and of this file."""
    assert json.loads(path.with_name(f"{path.name}.json").read_text()) == told
    content = path.read_bytes()
    assert told["exported"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert told["exported"]["bytes"] == len(content)


@pytest.mark.slow
class TestProgram:
    def test_runs_without_this_library(self, tmp_path):
        model = mlp().train()
        told = export(model, torch.randn(1, 8), tmp_path / "deep" / "student.pt2")
        assert model.training
        check_card(told, tmp_path / "deep" / "student.pt2")
        program = torch.export.load(tmp_path / "deep" / "student.pt2").module()
        for rows in (1, 7, 100):
            x = torch.randn(rows, 8)
            with torch.no_grad():
                torch.testing.assert_close(program(x=x), model.eval()(x), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("kind", [GraphSAGE, GCN, GAT])
    def test_graphs_of_any_size(self, kind, tmp_path):
        torch.manual_seed(0)
        model = kind(8, 16, 2, 3, dropout=0.5)
        export(model, graph(), tmp_path / "teacher.pt2")
        program = torch.export.load(tmp_path / "teacher.pt2").module()
        x, edge_index = graph(30, 101)
        with torch.no_grad():
            wanted = model.eval()(x, edge_index)
            torch.testing.assert_close(program(x=x, edge_index=edge_index), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
class TestOnnx:
    @pytest.mark.parametrize("kind", [GraphSAGE, GCN, GAT])
    def test_graphs_of_any_size(self, kind, tmp_path):
        runtime = pytest.importorskip("onnxruntime")
        torch.manual_seed(0)
        model = kind(8, 16, 2, 3)
        export(model, graph(), tmp_path / "teacher.onnx")
        x, edge_index = graph(30, 101)
        session = runtime.InferenceSession(tmp_path / "teacher.onnx")
        (found,) = session.run(["answers"], {"x": x.numpy(), "edge_index": edge_index.numpy()})
        with torch.no_grad():
            torch.testing.assert_close(torch.from_numpy(found), model(x, edge_index), rtol=1e-5, atol=1e-5)

    def test_float_and_int8(self, tmp_path):
        runtime = pytest.importorskip("onnxruntime")
        model, cards = mlp(64, 7).eval(), {}
        for int8 in (False, True):
            path = tmp_path / f"student {int8}.onnx"
            cards[int8] = export(
                graphkd.Distilled(model, {}, "kd", card={"method": "kd"}), torch.randn(2, 64), path, int8=int8
            )
            check_card(cards[int8], path)
            x = torch.randn(50, 64)
            (found,) = runtime.InferenceSession(path).run(None, {"x": x.numpy()})
            with torch.no_grad():
                wanted = model(x).numpy()
            assert np.abs(found - wanted).max() <= (0.1 if int8 else 1e-5) * np.abs(wanted).max()
        assert cards[True]["method"] == "kd"
        off = {int8: card["exported"]["largest_difference"] for int8, card in cards.items()}
        assert off[False] < 1e-5 < off[True]
        assert cards[True]["exported"]["bytes"] < cards[False]["exported"]["bytes"]
        assert cards[False]["exported"]["same_class"] == 1.0

    def test_what_int8_costs_stands_in_the_card(self, tmp_path):
        pytest.importorskip("onnxruntime")
        x, mask = torch.randn(60, 8), torch.arange(60) % 2 == 0
        model = mlp().eval()
        with torch.no_grad():
            data = Data(x, y=model(x).argmax(1), val_mask=mask, test_mask=~mask, train_mask=mask)
        told = export(model, x[:2], tmp_path / "s.onnx", int8=True, task=NodeClassification(), data=data, card={"n": 1})
        assert told["scores"]["test"]["accuracy"] == 1.0
        assert 0.9 <= told["exported_scores"]["test"]["accuracy"] <= 1.0
        assert told["n"] == 1

    def test_a_model_that_is_called_otherwise(self, tmp_path):
        x, mask = torch.randn(60, 8), torch.arange(60) % 2 == 0
        torch.manual_seed(0)
        data, asked = Data(x, y=mask.long(), test_mask=mask, train_mask=~mask), {"task": NodeClassification()}
        call = lambda model, batch: model(batch.x)  # noqa: E731
        told = export(nn.Sequential(nn.Linear(8, 2)), x[:2], tmp_path / "s.pt2", data=data, call=call, **asked)
        assert told["scores"] == told["exported_scores"]

    def test_a_file_of_other_answers_is_refused(self, tmp_path, monkeypatch):
        runtime = pytest.importorskip("onnxruntime")

        class Wrong(runtime.InferenceSession):
            def run(self, *given):
                return [found * 1.001 for found in super().run(*given)]

        monkeypatch.setattr(runtime, "InferenceSession", Wrong)
        with pytest.raises(RuntimeError, match="onnx must give what eager torch gives, got answers that differ by"):
            export(mlp(), torch.randn(2, 8), tmp_path / "student.onnx")
        assert list(tmp_path.iterdir()) == []

    def test_operators_that_onnx_has_not(self, tmp_path):
        pytest.importorskip("onnxruntime")

        class Odd(nn.Module):
            def forward(self, x):
                return torch.special.bessel_j0(x)

        with pytest.raises(TypeError, match="Odd must be made of operators that ONNX has"):
            export(Odd(), torch.randn(2, 8), tmp_path / "student.onnx")
        with pytest.raises(ValueError, match="ReLU must have linear layers to be put into int8"):
            export(nn.ReLU(), torch.randn(2, 8), tmp_path / "student.onnx", int8=True)


@pytest.mark.slow
class TestStudentsOfMethods:
    """Those whose forward reads more than features and the edges as they are: no file, and a reason."""

    @pytest.mark.parametrize("suffix", ["pt2", "onnx"])
    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("PLP", "PLP propagates labels over the one graph that it was trained on: its answers, .* serve the same"),
            ("TinyGNN", "PAM finds the peers of each graph anew, .* keep its answers in a table"),
        ],
    )
    def test_refused(self, name, why, suffix, tmp_path):
        pytest.importorskip("onnxruntime")
        torch.manual_seed(0)
        known = torch.arange(9) < 4
        model = PLP(8, 3, torch.arange(9) % 3, known) if name == "PLP" else TinyGNN(8, 16, 3)
        with pytest.raises(TypeError, match=f"{name} must be a module that torch.export traces .*: {why}"):
            export(model, graph(), tmp_path / f"student.{suffix}")
        assert list(tmp_path.iterdir()) == []


class Branch(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Words(nn.Module):
    def forward(self, x):
        return {"answers": x}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "match"),
    [
        (Branch(), "Branch must be a module that torch.export traces with any number of rows"),
        (Words(), "Words must answer by a tensor, or a tuple of them, to be exported, got dict"),
    ],
)
def test_what_cannot_be_traced(model, match, tmp_path):
    with pytest.raises(TypeError, match=match):
        export(model, torch.randn(2, 8), tmp_path / "student.pt2")


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"path": "student.bin"}, ValueError, "'path' must end in one of .*'form' say what it is, got 'student.bin'"),
        ({"form": "tflite"}, ValueError, "'form' must be one of .*'onnx', 'program'.*, got 'tflite'"),
        ({"int8": True}, ValueError, "'int8' is ONNX Runtime's: give a path that ends in .onnx"),
        ({"model": print}, TypeError, "'model' must be a torch module, or what distil gave, got builtin"),
        ({"model": nn.LazyLinear(3)}, TypeError, "LazyLinear has layers without widths yet: call it once"),
        ({"example": 3}, TypeError, "'example' must be what the model is called with: a tensor"),
        ({"example": ()}, TypeError, "'example' must be what the model is called with: a tensor"),
        ({"example": {"z": torch.ones(2, 8)}}, TypeError, "'example' must be what MLP is called with"),
        ({"example": torch.ones(2, 8).to_sparse()}, TypeError, "must hold dense tensors, got torch.sparse_coo for 'x'"),
        ({"example": torch.ones(0, 8)}, ValueError, r"'example' must have at least one row, got \(0, 8\)"),
        ({"task": NodeClassification()}, ValueError, "'task' and 'data' go together"),
    ],
)
def test_what_is_refused_before_anything_is_traced(change, error, match, tmp_path):
    asked = {"model": mlp(), "example": torch.ones(2, 8), "path": "student.pt2", **change}
    asked["path"] = tmp_path / asked["path"]
    with pytest.raises(error, match=match):
        export(**asked)
    assert list(tmp_path.iterdir()) == []


class TestInputs:
    def test_of_a_graph(self):
        inputs = Inputs.of(GCN(8, 4, 1, 3), (*graph(1, 0), torch.ones(0)))
        assert {name: tuple(tensor.shape) for name, tensor in inputs.example.items()} == {
            "x": (2, 8),
            "edge_index": (2, 2),
            "edge_weight": (2,),
        }
        assert inputs.free == {"x": {0: "rows"}, "edge_index": {1: "edges"}, "edge_weight": {0: "edges"}}

    @settings(max_examples=50, deadline=None, derandomize=True)
    @given(st.integers(1, 5), st.integers(0, 6), st.integers(1, 20))
    def test_drawn_ones_fit(self, rows, edges, asked):
        edge_index = torch.zeros(2, edges, dtype=torch.long)
        inputs = Inputs.of(GCN(8, 4, 1, 3), {"edge_index": edge_index, "x": torch.randn(rows, 8)})
        drawn = inputs.drawn(asked, 0)
        assert list(drawn) == ["x", "edge_index"]
        assert drawn["x"].shape == (asked, 8)
        assert drawn["edge_index"].shape == (2, 3 * asked)
        assert int(drawn["edge_index"].max()) < asked
        assert torch.equal(inputs.drawn(asked, 0)["x"], drawn["x"])

    def test_edges_of_other_rows(self):
        with pytest.raises(ValueError, match="'edge_index' must be from 0 to 0, rows of the first input, got 0 to 3"):
            Inputs.of(GCN(8, 4, 1, 3), (torch.randn(1, 8), torch.tensor([[0], [3]])))
        with pytest.raises(ValueError, match=r"'edge_index' must be ids \(2, E\)"):
            Inputs.of(GCN(8, 4, 1, 3), (torch.randn(3, 8), torch.ones(2, 2)))
