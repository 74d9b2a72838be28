"""Graphs from ids to lists: ONNX Runtime's and torch's own give what eager torch gives."""

from __future__ import annotations

import pytest
import torch

from recsys import Split, serve
from recsys.data.sequences import Sequences
from recsys.models import MF, LightGCN, tables_of
from recsys.models.gru4rec import GRU4Rec
from recsys.models.sasrec import SASRec
from recsys.retrieve import Retriever
from recsys.serving.graphs import TopItems, batch_of, kind_of, to_onnx, to_program
from tests.recsys.laws import Pairwise, toy


def built(name, padding=False):
    torch.manual_seed(0)
    if name == "mf":
        model = MF(30, 40, 4, std=1.0)
        model.padding = padding
        return model
    return {
        "lightgcn": lambda: LightGCN(toy(), 4),
        "sasrec": lambda: SASRec(40, 8, max_length=6),
        "gru4rec": lambda: GRU4Rec(40, 8, max_length=6),
    }[name]()


def left_out(rows, pairs=None):
    """What users have, (B, S), filled up by -1."""
    pairs = pairs or toy()
    width = int(pairs.degrees()[rows].max())
    found = torch.full((len(rows), width), -1)
    for place, row in enumerate(rows.tolist()):
        own = pairs.of(torch.tensor([row]))[1]
        found[place, : len(own)] = own
    return found


class Scores(torch.nn.Module):
    def forward(self, scores):
        return scores


class TestTopItems:
    def test_definition(self):
        torch.manual_seed(0)
        scores, out = torch.randn(6, 9), torch.randint(-1, 9, (6, 5))
        items, values = TopItems(Scores(), 7, padding=True)(scores, out)
        for row in range(6):
            left = {item: float(scores[row, item]) for item in range(1, 9) if item not in out[row].tolist()}
            best = sorted(left, key=left.get, reverse=True)[:7]
            assert items[row].tolist() == best + [-1] * (7 - len(best))
            assert values[row].tolist() == [left[item] for item in best] + [-torch.inf] * (7 - len(best))

    def test_nothing_is_left_out_by_minus_one(self):
        scores = torch.randn(3, 9)
        items, _ = TopItems(Scores(), 9, padding=False)(scores, torch.full((3, 1), -1))
        assert torch.equal(items, scores.argsort(dim=1, descending=True))

    def test_as_the_retriever(self):
        model, users = built("mf"), torch.arange(30)
        best = Retriever(tables_of(model), toy()).users(users, 20)
        items, scores = TopItems(model, 20, padding=False)(users, left_out(users))
        assert torch.equal(items, best.items)
        torch.testing.assert_close(scores, best.scores)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mf", "lightgcn", "sasrec", "gru4rec"])
class TestExported:
    def test_top_20_of_onnx_runtime_are_those_of_torch(self, name, tmp_path):
        runtime = pytest.importorskip("onnxruntime")
        model = built(name)
        told = to_onnx(model, tmp_path / "deep" / "model.onnx", 20)
        assert 0 <= told["largest_difference"] < 1e-5
        session = runtime.InferenceSession(tmp_path / "deep" / "model.onnx")
        for rows in (1, 3, 50):
            batch = batch_of(model, rows, seed=rows)
            with torch.no_grad():
                items, scores = TopItems(model.eval(), 20, padding=model.padding)(*batch)
            given = {name: each.numpy() for name, each in zip(told["inputs"], batch, strict=True)}
            found = session.run(["items", "scores"], given)
            assert found[0].tolist() == items.tolist()
            torch.testing.assert_close(torch.from_numpy(found[1]), scores)

    def test_and_of_a_program_of_torch(self, name, tmp_path):
        model = built(name)
        to_program(model, tmp_path / "model.pt2", 20)
        program = torch.export.load(tmp_path / "model.pt2").module()
        batch = batch_of(model, 7, seed=5)
        with torch.no_grad():
            items, scores = TopItems(model.eval(), 20, padding=model.padding)(*batch)
            found = program(*batch)
        assert torch.equal(found[0], items)
        torch.testing.assert_close(found[1], scores)


@pytest.mark.slow
def test_a_graph_of_other_lists_is_refused(monkeypatch, tmp_path):
    runtime = pytest.importorskip("onnxruntime")

    class Wrong(runtime.InferenceSession):
        def run(self, *given):
            items, scores = super().run(*given)
            return [items[:, ::-1].copy(), scores]

    monkeypatch.setattr(runtime, "InferenceSession", Wrong)
    with pytest.raises(RuntimeError, match="ONNX Runtime must give the lists that torch gives"):
        to_onnx(built("mf"), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.slow
class TestServed:
    def test_users_without_seen_items(self, tmp_path):
        runtime = pytest.importorskip("onnxruntime")
        model, data = built("mf", padding=True), Split(*(toy(padding=True, seed=seed) for seed in range(3)))
        card = serve.export(model, tmp_path, data, onnx=True)
        assert card["graph"]["inputs"] == ["users", "left_out"]
        users, seen = torch.arange(1, 30), data.train.union(data.valid, data.test)
        given = {"users": users.numpy(), "left_out": left_out(users, seen).numpy()}
        found, _ = runtime.InferenceSession(tmp_path / "recommender.onnx").run(None, given)
        for user, items in zip(users.tolist(), found.tolist(), strict=True):
            kept = [str(item) for item in items if item >= 0]
            assert kept == list(serve.recommend(tmp_path, [user], 20)[0].items)
        serve.export(model, tmp_path, data)
        assert not (tmp_path / "recommender.onnx").exists()  # it would be of another model

    def test_new_histories(self, tmp_path):
        pytest.importorskip("onnxruntime")
        model = built("sasrec")
        tokens = ("[none]", *(f"item {row}" for row in range(1, 40)))
        known = Sequences.from_events([1, 1, 1, 1, 1, 1, 1, 1], range(1, 9), num_items=40)
        data = Sequences(known.ptr, known.items, 40, ("[none]", "ann"), tokens)
        serve.export(model, tmp_path, data, onnx=True, k=35)
        same = serve.recommend_after(tmp_path, [[f"item {row}" for row in range(1, 9)], ["item 9"]], 31)
        assert same[0].items == serve.recommend(tmp_path, ["ann"], 31)[0].items
        assert len(same[0].items) == 31  # of 39, without its own eight
        assert "item 9" not in same[1].items
        with pytest.raises(ValueError, match=r"history 0 must hold items that the model knows, got \['tea'\]"):
            serve.recommend_after(tmp_path, [["item 1", "tea"]])
        with pytest.raises(ValueError, match="history 1 must list at least one item"):
            serve.recommend_after(tmp_path, [["item 1"], []])
        with pytest.raises(ValueError, match="'k' must be from 1 to 35, which the graph was exported for"):
            serve.recommend_after(tmp_path, [["item 1"]], 36)


def test_what_is_refused(monkeypatch, tmp_path):
    with pytest.raises(TypeError, match="Pairwise scores without tables"):
        to_program(Pairwise(), tmp_path / "model.pt2")
    with pytest.raises(TypeError, match="'model' must be a recommender with tables, or a module of sequences"):
        kind_of(torch.nn.Linear(1, 1))
    with pytest.raises(ValueError, match="'k' must be at least 1, got 0"):
        to_program(built("mf"), tmp_path / "model.pt2", 0)
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ImportError, match="needs the package onnxruntime: pip install 'graphkd\\[onnx\\]'"):
        to_onnx(built("mf"), tmp_path / "model.onnx")
