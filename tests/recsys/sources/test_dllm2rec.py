"""DLLM2Rec's lists."""

from __future__ import annotations

import pytest
import torch

from recsys.data import Sequences, SequenceSplit
from recsys.sources import DLLM2RecLists
from tests.recsys.toy_sequences import chain_split


def test_rows_have_their_lists_and_an_item_that_is_not_theirs():
    rows = chain_split().train
    items = torch.arange(2 * len(rows)).view(-1, 2) % 40 + 1
    source, asked = DLLM2RecLists(items, items.float(), rows), torch.randint(len(rows), (500,)) + 1
    found = source.lists({"users": asked})
    assert torch.equal(found["taught"], items[asked - 1])
    assert torch.equal(found["distances"], items[asked - 1].float())
    histories = rows.histories(asked - 1).sequences
    unseen = found["unseen"]
    assert 0 < unseen.min() <= unseen.max() <= 40
    assert not (histories == unseen[:, None]).any()
    assert not (rows.targets[asked - 1] == unseen).any()
    assert not torch.equal(unseen, source.lists({"users": asked})["unseen"])


def test_the_one_item_that_is_left_is_drawn_and_none_is_refused():
    rows = SequenceSplit.leave_one_out(Sequences.from_events([1] * 5, [1, 2, 3, 1, 2], num_items=5), 3).train
    lists = torch.ones(len(rows), 1, dtype=torch.long)
    drawn = [DLLM2RecLists(lists, lists.float(), rows).lists({"users": torch.tensor([2])})["unseen"] for _ in range(5)]
    assert {int(each) for each in drawn} == {4}
    full = SequenceSplit.leave_one_out(Sequences.from_events([1] * 5, [1, 2, 3, 1, 2], num_items=4), 3).train
    with pytest.raises(ValueError, match=r"'rows' must leave an item .* row 2 has all 3: leave its user out"):
        DLLM2RecLists(lists, lists.float(), full)


def test_a_list_for_every_row():
    rows = chain_split().train
    with pytest.raises(ValueError, match=rf"'items' and 'distances' must be \({len(rows)}, K\), a list a row"):
        DLLM2RecLists(torch.ones(3, 2, dtype=torch.long), torch.ones(3, 2), rows)
