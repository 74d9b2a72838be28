"""SASRec, GRU4Rec, several as one, tables of users, and the view of a batch of histories."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from graphkd import Ensemble, Frozen
from recsys.data import SequenceBatches
from recsys.losses.next_item import HIDDEN
from recsys.models import MF, GRU4Rec, SASRec, show_rows, tables_at
from recsys.models.sequential import (
    MeanSequential,
    SequentialRecommender,
    check_items,
    end_states,
    row_tables,
    sequential_of,
)
from recsys.models.tables import Tables
from tests.recsys.toy_sequences import chain_split

SPLIT = chain_split()
MAKE = {
    "sasrec": lambda width=8, **options: SASRec(SPLIT.num_items, width, max_length=6, **options),
    "gru4rec": lambda width=8, **options: GRU4Rec(SPLIT.num_items, width, max_length=6, **options),
}


def made(name, seed=0, **options):
    torch.manual_seed(seed)
    return MAKE[name](**options).double().eval()


@pytest.mark.parametrize("name", MAKE)
def test_a_state_depends_on_no_later_item_and_on_every_earlier_one(name):
    model = made(name)
    sequence = torch.tensor([[3, 7, 2, 9, 4, 1]])
    before = model.states(sequence)
    for place in range(6):
        changed = sequence.clone()
        changed[0, place] = 11
        moved = (model.states(changed) - before).abs().amax(dim=2)[0] > 1e-9
        assert moved.tolist() == [position >= place for position in range(6)]


@pytest.mark.parametrize("name", MAKE)
def test_padding_on_the_right_changes_nothing(name):
    model = made(name)
    short, long = torch.tensor([[3, 7]]), torch.tensor([[3, 7, 0, 0]])
    length = torch.tensor([2])
    torch.testing.assert_close(model.last(short, length), model.last(long, length))
    torch.testing.assert_close(model(long, length), model.last(short, length) @ model.items().t())


def test_attention_is_the_formula_with_loops():
    model = made("sasrec", heads=2, layers=1)
    ids, block = torch.tensor([5, 2, 9]), model.blocks[0]
    x = model.item.weight[ids] + model.position.weight[:3]
    query, key, value = block.qkv(block.before(x)).split(8, dim=1)
    seen = torch.zeros(3, 8, dtype=torch.float64)
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        for place in range(3):
            scores = torch.stack([query[place, part] @ key[other, part] / 2 for other in range(place + 1)]).softmax(0)
            seen[place, part] = sum(scores[other] * value[other, part] for other in range(place + 1))
    x = x + block.out(seen)
    x = x + block.narrow(F.gelu(block.wide(block.between(x))))
    torch.testing.assert_close(model.states(ids[None])[0], model.norm(x))


@pytest.mark.parametrize("name", MAKE)
def test_a_batch_by_positions_has_the_states_of_its_places(name):
    model = made(name)
    (batch,) = SequenceBatches(SPLIT.train, batch_size=1000)
    state, item = model.tables_of(batch)
    assert item is model.items()
    padded = model.states(batch["sequences"]).flatten(0, 1)[batch["at"]]
    torch.testing.assert_close(state, padded)
    parameters, towards = list(model.parameters()), torch.randn_like(state)
    gradients = (torch.autograd.grad((each * towards).sum(), parameters) for each in (state, padded))
    for without, whole in zip(*gradients, strict=True):
        torch.testing.assert_close(without, whole)


@pytest.mark.parametrize("name", MAKE)
def test_states_at_the_ends_are_those_of_the_padded_histories(name):
    model, rows = made(name), SPLIT.train
    histories = rows.histories()
    found = end_states(model, histories, torch.device("cpu"))
    torch.testing.assert_close(found, model.last(*histories))
    order = torch.randperm(len(rows))
    shuffled = end_states(model, rows.histories(order), torch.device("cpu"))
    torch.testing.assert_close(shuffled, found[order])


def test_a_model_with_ends_of_its_own_is_asked_for_them():
    class Counting(SequentialRecommender):
        def last(self, sequences, lengths, owners=None):
            return lengths[:, None].double()

    rows = SPLIT.train
    found = end_states(Counting(SPLIT.num_items, 6), rows.histories(), torch.device("cpu"))
    assert found.squeeze(1).tolist() == rows.lengths.tolist()


@pytest.mark.parametrize("windows", [True, False])
def test_tables_of_rows_are_the_states_of_their_batches(windows):
    model = made("gru4rec").train()
    table, item = row_tables(model, SPLIT.train, windows=windows)
    assert model.training
    assert not table[0].any()
    model.eval()
    (batch,) = SequenceBatches(SPLIT.train, batch_size=1000, by="positions" if windows else "rows")
    torch.testing.assert_close(table[batch["rows"]], model.tables_of(batch)[0])
    assert torch.equal(item, model.items())


def test_the_view_of_a_model_and_of_its_rows_are_one():
    model = made("sasrec")
    fixed = Tables(*row_tables(model, SPLIT.train, windows=True), padding=True)
    for shared in (None, 9):
        for batch in SequenceBatches(SPLIT.train, batch_size=16, shared=shared):
            ours, theirs = show_rows(model, batch), show_rows(fixed, batch)
            assert list(ours) == ["user", "item", "logits"]
            for name in ours:
                torch.testing.assert_close(ours[name], theirs[name])


def test_logits_are_of_all_items_but_padding_or_of_the_target_and_candidates():
    model = made("sasrec")
    (batch,) = SequenceBatches(SPLIT.train, batch_size=1000)
    view = show_rows(model, batch)
    scores = view["user"] @ view["item"].t()
    assert (view["logits"][:, 0] == HIDDEN).all()
    torch.testing.assert_close(view["logits"][:, 1:], scores[:, 1:])
    (batch,) = SequenceBatches(SPLIT.train, batch_size=1000, shared=30)
    view = show_rows(model, batch)
    scores = view["user"] @ view["item"].t()
    rows, targets, drawn = batch["users"], batch["targets"], batch["candidates"]
    torch.testing.assert_close(view["logits"][:, 0], scores[rows, targets])
    hit = targets[:, None] == drawn
    assert hit.any()
    wanted = torch.where(hit, torch.full_like(scores[:, drawn], HIDDEN), scores[:, drawn])
    torch.testing.assert_close(view["logits"][:, 1:], wanted)


def test_the_view_names_what_it_has():
    (batch,) = SequenceBatches(SPLIT.train, batch_size=1000)
    view = show_rows(made("sasrec"), batch)
    assert "own_loss" not in view
    with pytest.raises(KeyError, match="the view has"):
        view["hidden"]
    with pytest.raises(TypeError, match="SequentialRecommender, or Tables of rows, got MF"):
        show_rows(MF(3, 4, 2), batch)


def test_several_models_score_their_mean():
    models = [made("sasrec", seed=1), made("gru4rec", seed=2, width=5)]
    sequence, length = torch.tensor([[3, 7, 2, 0]]), torch.tensor([3])
    mean = sum(model(sequence, length) for model in models) / 2
    torch.testing.assert_close(MeanSequential(models).double()(sequence, length), mean)
    weighted = sequential_of(Ensemble([Frozen(model) for model in models], weights=torch.tensor([1.0, 3.0])))
    wanted = models[0](sequence, length) / 4 + models[1](sequence, length) * 3 / 4
    torch.testing.assert_close(weighted.double()(sequence, length), wanted)
    with pytest.raises(ValueError, match="of the same items"):
        MeanSequential([models[0], SASRec(9, 4)])


def test_tables_of_users_are_states_after_all_training_items():
    model = made("sasrec")
    tables = tables_at(model, SPLIT)
    assert tables.padding
    for user in (1, 5, 17):
        items = SPLIT.sequences.of(user)
        held = int((SPLIT.valid.users == user).sum() + (SPLIT.test.users == user).sum())
        kept = items[: len(items) - held][-6:]
        wanted = model(kept[None], torch.tensor([len(kept)]))
        torch.testing.assert_close(tables.score_items(torch.tensor([user])), wanted)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SASRec(9, 6, heads=4), "'width' must be a multiple of 'heads', got 6 and 4"),
        (lambda: SASRec(9, 4, layers=0), "'layers' must be at least 1"),
        (lambda: GRU4Rec(9, 4, dropout=1.0), "'dropout' below 1"),
        (lambda: check_items(SASRec(9, 4), SPLIT), "must score 41 items"),
        (lambda: check_items(SASRec(41, 4, max_length=3), SPLIT, "student"), "'student' must read histories of 6"),
    ],
)
def test_what_is_wrong_is_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_general_recommender_is_no_sequential_one():
    with pytest.raises(TypeError, match=r"'teacher' must be a recsys.models.SequentialRecommender, .* got MF"):
        sequential_of(MF(3, 4, 2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The tensor attribute")  # torch's own GRU
@pytest.mark.parametrize("name", MAKE)
def test_a_model_is_exported_with_its_padding(name):
    model = made(name)
    sequences, lengths = torch.tensor([[3, 7, 2, 0, 0, 0], [1, 0, 0, 0, 0, 0]]), torch.tensor([3, 1])
    program = torch.export.export(model, (sequences, lengths))
    torch.testing.assert_close(program.module()(sequences, lengths), model(sequences, lengths))
