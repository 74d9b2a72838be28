"""What leaves training: tables, exports and lists that know what was seen."""

import sys
import warnings

import pytest
import torch

from recsys import Interactions, Split
from recsys.models import MF, LightGCN, Tables, tables_of
from recsys.models.rankings import top_items, top_users
from recsys.retrieve import Retriever
from recsys.serving.export import export, load_export
from recsys.serving.faiss_index import faiss_index
from tests.door.rankings import built, pairs
from tests.recsys.laws import toy

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:recbole")  # of torch, about RecBole's own code

NAN, INF = float("nan"), float("inf")


class TestWhatLeavesTraining:
    split = Split(pairs([0, 1, 2], [0, 1, 2], 3, 6), pairs([0], [5], 3, 6), pairs([1], [5], 3, 6))
    model = Tables(torch.eye(3, 6), torch.eye(6))

    def test_the_training_pairs_travel_with_the_file(self, tmp_path):
        export(self.model, tmp_path / "s", self.split)
        found = load_export(tmp_path / "s")
        for retriever in (found.retriever(), Retriever(found.tables, found.seen)):
            best = retriever.users(torch.arange(3), 1).items[:, 0]
            assert not self.split.train.contains(torch.arange(3), best).any()

    def test_a_service_may_leave_out_all_that_users_have(self, tmp_path):
        everything = self.split.train.union(self.split.valid, self.split.test)
        export(self.model, tmp_path / "s", self.split, seen=everything)
        found = load_export(tmp_path / "s")
        assert len(found.seen) == 5
        assert 5 not in found.retriever().users(torch.tensor([0, 1]), 4).items.tolist()[0]

    def test_without_a_split_nothing_is_left_out(self, tmp_path):
        export(self.model, tmp_path / "s")
        found = load_export(tmp_path / "s")
        assert found.seen is None
        assert found.retriever().users(torch.arange(3), 1).items[:, 0].tolist() == [0, 1, 2]

    def test_the_padding_item_is_never_recommended(self, tmp_path):
        item = torch.tensor([[9.0], [1.0], [2.0], [3.0]])
        train = pairs([1, 2], [3, 1], 3, 4, padding=True)
        export(Tables(torch.ones(3, 1), item), tmp_path / "s", Split(train, train, train))
        found = load_export(tmp_path / "s")
        assert found.tables.padding
        for retriever in (found.retriever(), Retriever(found.tables), Retriever(Tables(torch.ones(3, 1), item), train)):
            assert 0 not in retriever.users(torch.arange(1, 3), 4).items
            assert 0 not in retriever.queries(torch.ones(2, 1), 4).items

    def test_nor_by_an_index_of_faiss(self, monkeypatch):
        added = []

        class Flat:
            def __init__(self, width):
                self.width = width

            def add(self, items):
                added.append((items.shape, None))

        class Mapped(Flat):
            def add_with_ids(self, items, ids):
                added.append((items.shape, ids.tolist()))

        monkeypatch.setitem(sys.modules, "faiss", type("faiss", (), {"IndexFlatIP": Flat, "IndexIDMap": Mapped}))
        faiss_index(Tables(torch.ones(2, 3), torch.ones(4, 3)))
        faiss_index(Tables(torch.ones(2, 3), torch.ones(4, 3), padding=True))
        assert added == [((4, 3), None), ((3, 3), [1, 2, 3])]

    def test_tables_of_a_recbole_model_know_their_padding(self, small):
        assert tables_of(built(small, "BPR")).padding

    def test_pairs_are_kept_in_a_file(self, tmp_path):
        kept = pairs([0, 0, 0, 2], [1, 1, 3, 2], 3, 4)
        kept.save(tmp_path / "pairs.safetensors")
        again = Interactions.load(tmp_path / "pairs.safetensors")
        assert (again.num_users, again.num_items, again.padding) == (3, 4, False)
        for name in ("ptr", "items", "repeats"):
            assert torch.equal(getattr(again, name), getattr(kept, name))
        padded = toy(padding=True)
        padded.save(tmp_path / "padded")
        assert Interactions.load(tmp_path / "padded").padding

    def test_a_damaged_file_is_refused(self, tmp_path):
        path = tmp_path / "s"
        export(Tables(torch.randn(30, 8), torch.randn(40, 8)), path, Split(toy(), toy(), toy()))
        raw, refused = path.read_bytes(), 0
        for place in range(8, len(raw), len(raw) // 25):
            path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
            with pytest.raises(ValueError, match=r"is damaged|must be a safetensors file|must hold the tables"):
                load_export(path)
            refused += 1
        assert refused >= 25

    def test_everyone_may_read_an_export(self, tmp_path):
        export(self.model, tmp_path / "s")
        plain = tmp_path / "plain"
        plain.touch()
        assert (tmp_path / "s").stat().st_mode == plain.stat().st_mode

    @pytest.mark.parametrize("padding", [False, True])
    def test_a_heavy_user_gets_a_short_list(self, padding):
        first = int(padding)
        seen = pairs([first] * 7, list(range(first, first + 7)), 3, 10, padding=padding)
        torch.manual_seed(0)
        tables = Tables(torch.randn(3, 4), torch.randn(10, 4))
        best = Retriever(tables, seen, block_items=4).users(torch.arange(first, 3), 5)
        left = 10 - 7 - first
        assert best.items.shape == (3 - first, 5)
        assert sorted(best.items[0, :left].tolist()) == list(range(first + 7, 10))
        assert best.items[0, left:].tolist() == [-1] * (5 - left)
        assert best.scores[0, left:].tolist() == [-INF] * (5 - left)
        assert (best.items[1:] >= 0).all()

    def test_lists_for_methods_name_the_heavy_users(self):
        seen = pairs([0] * 9 + [2] * 8, [*range(9), *range(8)], 3, 10)
        message = r"got 5, but user 0 has 1 left, user 2 has 2 left: give a smaller 'k'"
        with pytest.raises(ValueError, match=message):
            top_items(MF(3, 10, 2), seen, 5)
        with pytest.raises(
            ValueError, match=r"got 2, but item 0 has 1 left, item 1 has 1 left, item 2 has 1 left and 5"
        ):
            top_users(MF(3, 10, 2), seen, 2)


class TestTablesThatAreCalled:
    torch.manual_seed(0)
    models = (Tables(torch.randn(3, 4), torch.randn(10, 4)), MF(3, 10, 4), LightGCN(toy(3, 10, 12), 4))
    users = torch.tensor([2, 0, 1, 1])

    @pytest.mark.parametrize("model", models, ids=lambda model: type(model).__name__)
    def test_scores_of_all_items(self, model):
        user, item = model.tables()
        torch.testing.assert_close(model(self.users), (user @ item.T)[self.users])

    @pytest.mark.parametrize("model", models, ids=lambda model: type(model).__name__)
    def test_exported_for_any_number_of_users(self, model):
        users = torch.export.Dim("users")
        program = torch.export.export(model.eval(), (torch.tensor([0, 1]),), dynamic_shapes=({0: users},))
        for chosen in (self.users, self.users[:1]):
            torch.testing.assert_close(program.module()(chosen), model(chosen))

    @pytest.mark.parametrize("model", models[:2], ids=lambda model: type(model).__name__)
    def test_scripted(self, model):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch would have us export
            scripted = torch.jit.script(model.eval())
        torch.testing.assert_close(scripted(self.users), model(self.users))

    def test_a_propagated_model_is_scripted_by_its_tables(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scripted = torch.jit.script(tables_of(self.models[2]))
        torch.testing.assert_close(scripted(self.users), self.models[2](self.users))

    @pytest.mark.parametrize("wrong", [-1, 3])
    def test_other_users_are_refused(self, wrong):
        with pytest.raises(IndexError, match="'users' must hold ids from 0 to 2, got ids from"):
            self.models[0](torch.tensor([0, wrong]))

    def test_whole_numbers_are_no_tables(self):
        with pytest.raises(
            TypeError, match=r"'user' and 'item' must be of one floating type, got torch.int8 and torch.int8"
        ):
            Tables(torch.ones(2, 2, dtype=torch.int8), torch.ones(3, 2, dtype=torch.int8))
        with pytest.raises(TypeError, match=r"must be of one floating type, got torch.float16 and torch.float32"):
            Tables(torch.ones(2, 2).half(), torch.ones(3, 2))
