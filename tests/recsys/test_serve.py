"""From an export to recommendations by original ids, in any process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import recsys
from recsys import Interactions, Split, serve
from recsys.__main__ import main
from recsys.data.sequences import Sequences
from recsys.models import MF, Tables, tables_of
from recsys.models.int8 import Int8Tables
from recsys.models.sasrec import SASRec
from recsys.retrieve import Retriever
from tests.recsys.laws import Pairwise, toy

ROOT = Path(__file__).parent.parent.parent
USERS, ITEMS = tuple(f"user {row}" for row in range(30)), tuple(f"item {row}" for row in range(40))
ASK = """
import json, sys
import recsys.serve
assert "torch_geometric" not in sys.modules and "recbole" not in sys.modules
found = recsys.serve.recommend(sys.argv[1], sys.argv[2:], k=20)
print(json.dumps([(each.user, each.items, each.scores) for each in found]))
"""


def split(padding=False):
    return Split(*(toy(padding=padding, seed=seed) for seed in range(3)), USERS, ITEMS)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MF(30, 40, 4, std=1.0)


@pytest.fixture
def folder(model, tmp_path):
    serve.export(model, tmp_path / "service", split())
    return tmp_path / "service"


def had(data, user):
    everything = data.train.union(data.valid, data.test)
    return {ITEMS[item] for item in everything.of(torch.tensor([user]))[1].tolist()}


@pytest.mark.slow
def test_a_fresh_process_recommends_what_this_one_does_and_nothing_seen(model, folder):
    done = subprocess.run(
        [sys.executable, "-c", ASK, folder, *USERS], capture_output=True, text=True, cwd=ROOT, check=True
    )
    answers = json.loads(done.stdout)
    assert [user for user, _, _ in answers] == list(USERS)
    user_table, item_table = model.tables()
    scores = (user_table @ item_table.T).tolist()
    for row, (_, items, values) in enumerate(answers):
        left = {ITEMS[item]: scores[row][item] for item in range(40) if ITEMS[item] not in had(split(), row)}
        assert items == sorted(left, key=left.get, reverse=True)[:20]
        assert values == pytest.approx([left[item] for item in items], abs=1e-5)


def test_without_seen_pairs_they_would_be_recommended(model, tmp_path):
    nobody = torch.zeros(0, dtype=torch.long)
    serve.export(model, tmp_path, split(), seen=Interactions.from_pairs(nobody, nobody, 30, 40))
    found = serve.recommend(tmp_path, USERS, 20)
    assert any(set(each.items) & had(split(), row) for row, each in enumerate(found))


def test_lists_are_as_long_as_they_can_be(tmp_path):
    pairs = Interactions.from_tokens(["bot"] * 4 + ["ann"], ["a", "b", "c", "d", "a"])
    data = Split.by_rows(pairs, range(5), [], [])
    serve.export(Tables(torch.ones(2, 1), torch.arange(4.0)[:, None]), tmp_path, data)
    found = serve.recommend(tmp_path, ["bot", "ann", "bot"], 10)
    assert [(each.user, each.items) for each in found] == [("bot", ()), ("ann", ("d", "c", "b")), ("bot", ())]
    assert found[1].scores == (3.0, 2.0, 1.0)


class TestUnknownUsers:
    def test_are_refused_in_words(self, folder):
        with pytest.raises(ValueError, match=r"among the 30 that the model knows, got 'x', '7': say unknown='skip'"):
            serve.recommend(folder, ["user 3", "x", 7])

    def test_are_skipped_where_that_is_asked_for(self, folder):
        assert [each.user for each in serve.recommend(folder, ["x", "user 3"], unknown="skip")] == ["user 3"]
        assert serve.recommend(folder, ["x"], unknown="skip") == []

    def test_get_what_most_users_have(self, folder):
        data = split()
        counts = data.train.union(data.valid, data.test).counts()
        unknown, known = serve.recommend(folder, ["x", "user 3"], 5, unknown="popular")
        assert (unknown.known, known.known) == (False, True)
        assert unknown.scores == tuple(map(float, counts.sort(descending=True).values[:5]))
        assert [float(counts[ITEMS.index(item)]) for item in unknown.items] == list(unknown.scores)

    def test_the_padding_user_is_one(self, model, tmp_path):
        told = serve.export(model, tmp_path, split(padding=True), int8=True)
        assert (told["served"]["users"], told["served"]["items"], told["int8"]["users"]) == (29, 39, 29)
        with pytest.raises(ValueError, match="among the 29 that the model knows, got 'user 0'"):
            serve.recommend(tmp_path, ["user 0"])
        assert all(ITEMS[0] not in each.items for each in serve.recommend(tmp_path, USERS[1:], 39))

    def test_without_pairs_nothing_is_popular(self, model, tmp_path):
        serve.export(model, tmp_path)
        assert serve.recommend(tmp_path, [3, "29"], 2)[0].items[0].isdigit()  # by the numbers of rows
        with pytest.raises(ValueError, match="unknown='popular' needs what users have"):
            serve.recommend(tmp_path, ["x"], unknown="popular")


class TestInt8:
    def test_it_is_a_quarter_and_the_card_says_what_it_loses(self, model, tmp_path):
        torch.manual_seed(1)
        wide = MF(30, 40, 64, std=1.0)
        for name, int8 in (("exact", False), ("small", True)):
            serve.export(wide, tmp_path / name, split(), int8=int8, k=5)
        sizes = [sum(t.nbytes for t in serve.load(tmp_path / name).tables.buffers()) for name in ("exact", "small")]
        assert sizes[1] == sizes[0] // 4 + 4 * 70
        told = json.loads((tmp_path / "small" / "card.json").read_text())["int8"]
        exact, small = (serve.recommend(tmp_path / name, USERS, 5) for name in ("exact", "small"))
        shares = [len(set(a.items) & set(b.items)) / len(a.items) for a, b in zip(exact, small, strict=True)]
        assert told == {"recall@5": pytest.approx(sum(shares) / 30, abs=1e-4), "users": 30}
        assert 0.9 < told["recall@5"] < 1
        assert "int8" not in json.loads((tmp_path / "exact" / "card.json").read_text())

    @pytest.mark.parametrize("block", [7, 1000])
    def test_lists_are_those_of_the_widened_tables(self, model, block):
        small = Int8Tables.of(tables_of(model))
        found = Retriever(small, toy(), block_items=block).users(range(30), 9)
        expected = Retriever(Tables(*small.tables()), toy()).users(range(30), 9)
        assert torch.equal(found.items, expected.items)
        for table, scale, exact in zip(
            small.tables(), (small.user_scale, small.item_scale), model.tables(), strict=True
        ):
            assert bool(((table - exact).abs() <= scale[:, None] / 2 + 1e-6).all())

    def test_rows_of_zeros_stay(self):
        small = Int8Tables.of(Tables(torch.zeros(2, 3), torch.ones(4, 3)))
        assert torch.equal(small.tables()[0], torch.zeros(2, 3))
        assert torch.allclose(small.tables()[1], torch.ones(4, 3))
        with pytest.raises(TypeError, match="'user' must be a table of int8 with a float32 scale a row"):
            Int8Tables(torch.ones(2, 3), torch.ones(2), small.item, small.item_scale)


class TestTheFolder:
    def test_the_card_goes_along(self, tmp_path):
        data = split()
        result = recsys.distil("none", MF(30, 40, 2), None, data, epochs=1, progress=False)
        told = serve.export(result, tmp_path, data, card={"owner": "me"})
        assert told == json.loads((tmp_path / "card.json").read_text()) == dict(serve.load(tmp_path).exported.card)
        assert (told["method"], told["owner"], told["served"]["items"]) == ("none", "me", 40)

    def test_it_is_read_again_when_it_is_written_anew(self, model, folder):
        before = serve.recommend(folder, ["user 3"], 3)
        serve.export(Tables(*(-table for table in model.tables()[:1]), model.tables()[1]), folder, split())
        assert serve.recommend(folder, ["user 3"], 3) != before

    def test_a_single_file_will_do(self, folder):
        assert serve.recommend(folder / "tables.safetensors", ["user 3"]) == serve.recommend(folder, ["user 3"])

    def test_what_is_refused(self, model, folder, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"it must be a folder that recsys\.serve\.export wrote"):
            serve.recommend(tmp_path, ["a"])
        with pytest.raises(TypeError, match=r"'users' must be a list of users, got 'user 3': give \['user 3'\]"):
            serve.recommend(folder, "user 3")
        with pytest.raises(ValueError, match="'k' must be at least 1, got 0"):
            serve.recommend(folder, ["user 3"], 0)
        with pytest.raises(ValueError, match="'unknown' must be one of"):
            serve.recommend(folder, ["user 3"], unknown="guess")
        with pytest.raises(ValueError, match="must hold the graph of a sequential recommender"):
            serve.recommend_after(folder, [["item 1"]])
        with pytest.raises(TypeError, match=r"'data' must be a recsys\.Split, or what has one"):
            serve.export(model, tmp_path / "new", toy())
        with pytest.raises(TypeError, match=r"'model' must be a recommender with tables, a recsys\.models\.Sequential"):
            serve.export(torch.nn.Linear(1, 1), tmp_path / "new")
        with pytest.raises(TypeError, match="Pairwise scores without tables"):
            serve.export(Pairwise(), tmp_path / "new")
        with pytest.raises(TypeError, match="'card' must hold plain values"):
            serve.export(model, tmp_path / "new", card={"model": model})
        raw = (folder / "tables.safetensors").read_bytes()
        (folder / "tables.safetensors").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
        with pytest.raises(ValueError, match="is damaged"):
            serve.recommend(folder, ["user 3"])

    def test_the_command(self, folder, capsys):
        assert main(["recommend", str(folder), "user 3", "user 4", "--k", "2"]) == 0
        lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        assert [line[:2] for line in lines] == [["user 3", "1"], ["user 3", "2"], ["user 4", "1"], ["user 4", "2"]]
        assert tuple(line[2] for line in lines[:2]) == serve.recommend(folder, ["user 3"], 2)[0].items
        with pytest.raises(SystemExit):
            main(["recommend", str(folder), "nobody"])
        assert "'users' must be among" in capsys.readouterr().err


class TestSequences:
    data = Sequences.from_events([1, 1, 1, 2, 2, 4], [1, 2, 3, 5, 4, 6], num_users=5, num_items=9)

    def test_users_are_served_from_their_latest_items_on(self, tmp_path):
        torch.manual_seed(0)
        model = SASRec(9, 8, max_length=2)
        serve.export(model, tmp_path, self.data)
        with torch.no_grad():
            scores = model.eval()(torch.tensor([[2, 3], [5, 4], [6, 0]]), torch.tensor([2, 2, 1]))
        found = serve.recommend(tmp_path, [1, 2, 4], 20)
        for each, row, own in zip(found, scores, ({1, 2, 3}, {4, 5}, {6}), strict=True):
            left = [item for item in row.argsort(descending=True).tolist() if item and item not in own]
            assert each.items == tuple(map(str, left))
            assert each.scores == pytest.approx([float(row[item]) for item in left], abs=1e-5)
        with pytest.raises(ValueError, match="that the model knows, got '3', '0'"):  # without a history, and padding
            serve.recommend(tmp_path, [3, 0])
        with pytest.raises(TypeError, match="'data' of a sequential recommender must be Sequences"):
            serve.export(model, tmp_path, split())
        with pytest.raises(ValueError, match="'model' must score 9 items"):
            serve.export(SASRec(8, 8, max_length=2), tmp_path, self.data)


@pytest.mark.slow
def test_movielens_of_recbole_is_served_by_its_own_ids(tmp_path):
    pytest.importorskip("recbole")
    data = recsys.bridge.load("ml-100k")
    sizes = data.split.train.num_users, data.split.train.num_items
    result = recsys.distil("none", MF(*sizes, 8), None, data, epochs=5, progress=False)
    told = serve.export(result, tmp_path, data, int8=True)
    assert (told["served"]["users"], told["int8"]["users"]) == (943, 943)
    assert told["int8"]["recall@20"] > 0.95
    everything = data.split.train.union(data.split.valid, data.split.test)
    users = data.split.user_tokens[1:]
    for each in serve.recommend(tmp_path, users, 20):
        own = everything.of(torch.tensor([data.split.user_tokens.index(each.user)]))[1]
        assert len(each.items) == 20
        assert not set(each.items) & {data.split.item_tokens[item] for item in own.tolist()}
