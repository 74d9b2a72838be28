"""Lists and vectors of an outside teacher, from files by tokens."""

from __future__ import annotations

import csv
import importlib.util
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import Interactions, Split
from recsys.data import Ranked, Sequences, SequenceSplit

USERS, ITEMS = ("[PAD]", "ann", "bo,b", "Ça", "7"), ("[PAD]", "x", 'y"z', "ü", "3", "雪")
KINDS = ("csv", "tsv", "jsonl", "npz")


def sequences() -> Sequences:
    """Four users with four events each, and tokens."""
    users = torch.arange(1, 5).repeat_interleave(4)
    made = Sequences.from_events(users, torch.arange(16) % 5 + 1, num_items=6)
    return Sequences(made.ptr, made.items, made.num_items, USERS, ITEMS)


def split() -> SequenceSplit:
    return SequenceSplit.leave_one_out(sequences(), 3)


@st.composite
def lists(draw):
    """(user, step) -> items with distances, all of one length, in any order."""
    k, stepped = draw(st.integers(1, 5)), draw(st.booleans())
    step = st.integers(1, 9) if stepped else st.just(0)
    keys = draw(st.lists(st.tuples(st.sampled_from(USERS[1:]), step), min_size=1, max_size=8, unique=True))
    distance = st.floats(0, 100, width=32)
    return {
        key: list(
            zip(draw(st.permutations(ITEMS[1:]))[:k], draw(st.lists(distance, min_size=k, max_size=k)), strict=True)
        )
        for key in keys
    }


def write(path, found, kind):
    """A record an item in text, a record a list in the others."""
    stepped = next(iter(found))[1] > 0
    if kind in ("csv", "tsv"):
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="," if kind == "csv" else "\t")
            writer.writerow(["distance", "step", "user", "item"])
            for (user, step), entries in found.items():
                writer.writerows([(distance, step or "", user, item) for item, distance in entries])
        return
    records = [
        {"user": user, "item": [item for item, _ in entries], "distance": [each for _, each in entries]}
        | ({"step": step} if stepped else {})
        for (user, step), entries in found.items()
    ]
    if kind == "jsonl":
        path.write_text("\n".join(json.dumps(record) for record in records) + "\n\n")
    else:
        np.savez(path, **{name: np.array([record[name] for record in records]) for name in records[0]})


def told(ranked):
    """What was read, by tokens."""
    steps = [0] * len(ranked.users) if ranked.steps is None else ranked.steps.tolist()
    columns = ranked.users.tolist(), steps, ranked.items.tolist(), ranked.distances.tolist()
    return {
        (USERS[user], step): [(ITEMS[item], distance) for item, distance in zip(items, distances, strict=True)]
        for user, step, items, distances in zip(*columns, strict=True)
    }


@settings(max_examples=40, deadline=None)
@given(lists(), st.sampled_from(KINDS))
def test_what_is_written_is_read(tmp_path_factory, found, kind):
    path = tmp_path_factory.mktemp("lists") / f"lists.{kind}"
    write(path, found, kind)
    assert told(Ranked.from_file(path, split())) == found
    first = {key: entries[:1] for key, entries in found.items()}
    assert told(Ranked.from_file(path, sequences(), k=1)) == first


@settings(max_examples=40, deadline=None)
@given(lists(), st.sampled_from(KINDS), st.data())
def test_a_list_with_a_fault_is_refused_with_its_place(tmp_path_factory, found, kind, data):
    path = tmp_path_factory.mktemp("lists") / f"lists.{kind}"
    place = data.draw(st.integers(0, len(found) - 1))
    (user, step), entries = list(found.items())[place]
    fault = data.draw(st.sampled_from(["item", "user", "negative", "infinite"]))
    if fault == "user":
        found = {key: each for key, each in found.items() if key != (user, step)} | {("nobody", step): entries}
        place = len(found) - 1
    else:
        entries[0] = {"item": ("[PAD]", 1.0), "negative": (entries[0][0], -1.0)}.get(fault, (entries[0][0], np.inf))
    write(path, found, kind)
    line = 2 + sum(len(each) for each in list(found.values())[:place])
    where = {"jsonl": f"line {place + 1}", "npz": f"row {place}"}.get(kind, f"line {line}")
    words = {
        "item": r"there is no item '\[PAD\]' among the 5 known",
        "user": "there is no user 'nobody' among the 4 known",
        "negative": "'distance' must be 0 or more, got -1.0",
        "infinite": "finite",
    }
    with pytest.raises(ValueError, match=rf"lists\.{kind}', {where}: .*{words[fault]}"):
        Ranked.from_file(path, split())


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(KINDS))
def test_any_bytes_are_read_or_refused_by_name(tmp_path_factory, content, kind):
    path = tmp_path_factory.mktemp("lists") / f"lists.{kind}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"lists.{kind}"):
        Ranked.from_file(path, split())


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['{"user": "ann"}'], r"line 1: there must be an entry 'item', got \['user'\]"),
        (['{"user": "ann", "item": ["x"]}', "[1]"], "line 2: there must be an object of JSON in every line, got list"),
        (['{"user": true, "item": ["x"]}'], "line 1: the user must be a text or a whole number, got True"),
        (['{"user": "ann", "item": ["x", "x"]}'], "line 1: the item 'x' must be in a list once, got it twice"),
        (['{"user": "ann", "item": []}'], "line 1: a list must have one item at least"),
        (['{"user": "ann", "item": ["x"]}'] * 2, "line 2: the list of this user must come once, it began in line 1"),
        (
            ['{"user": "ann", "item": ["x"], "distance": [1, 2]}'],
            "line 1: there must be a distance for each of 1 items",
        ),
        (
            ['{"user": "ann", "item": ["x"], "distance": ["far"]}'],
            "line 1: 'distance' must hold finite numbers, got 'far'",
        ),
        (['{"user": "ann", "item": ["x"], "step": 1.5}'], "line 1: 'step' must be a whole number from 1 on, got 1.5"),
        (
            ['{"user": "ann", "item": ["x"]}', '{"user": 7, "item": ["x", "ü"]}'],
            "line 2: the list must have the 1 items of the first, got 2: say 'k'",
        ),
        (
            ['{"user": "ann", "item": ["x"], "step": 2}', '{"user": 7, "item": ["x"]}'],
            "must give the step of every list or of none, got it for some",
        ),
        ([], "must hold one list at least, got none"),
    ],
)
def test_what_is_wrong_in_a_record(tmp_path, lines, words):
    (tmp_path / "lists.jsonl").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        Ranked.from_file(tmp_path / "lists.jsonl", split())


def test_a_short_list_is_refused_where_more_are_asked_for(tmp_path):
    (tmp_path / "lists.jsonl").write_text('{"user": "ann", "item": ["x"]}')
    with pytest.raises(ValueError, match="line 1: the list must have 2 items at least, as 'k' says, got 1"):
        Ranked.from_file(tmp_path / "lists.jsonl", split(), k=2)


def test_other_files_and_other_data_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        Ranked.from_file(tmp_path / "lists.csv", split())
    (tmp_path / "lists.txt").write_text("")
    with pytest.raises(ValueError, match=r"must be one of .csv, .tsv, .jsonl, .npz, .parquet, got '.txt'"):
        Ranked.from_file(tmp_path / "lists.txt", split())
    with pytest.raises(TypeError, match="'data' must be a SequenceSplit, Sequences, Split or Interactions"):
        Ranked.from_file(tmp_path / "lists.txt", [1, 2])
    np.savez(tmp_path / "objects.npz", user=np.array([{}, []], dtype=object))
    with pytest.raises(ValueError, match=r"must be an \.npz of plain arrays, no objects"):
        Ranked.from_file(tmp_path / "objects.npz", split())


def test_a_parquet_file_says_what_reads_it(tmp_path):
    path = tmp_path / "lists.parquet"
    if importlib.util.find_spec("pyarrow") is None:
        path.write_bytes(b"PAR1")
        with pytest.raises(ImportError, match=r"pip install pyarrow, or write it as \.jsonl"):
            Ranked.from_file(path, split())
        return
    from pyarrow import Table, parquet

    found = {"user": ["ann", "7"], "item": [["x", "3"], ["ü", "x"]], "distance": [[0.0, 1.0], [0.5, 2.0]]}
    parquet.write_table(Table.from_pydict(found), path)
    assert told(Ranked.from_file(path, split()))["7", 0] == [("ü", 0.5), ("x", 2.0)]


# ------------------------------------------------------------------ vectors
@pytest.mark.parametrize("kind", KINDS)
def test_vectors_of_all_items(tmp_path, kind):
    path, rows = tmp_path / f"items.{kind}", {item: [float(place), -0.5] for place, item in enumerate(ITEMS[1:])}
    if kind == "npz":
        np.savez(path, item=np.array(list(rows)), vector=np.array(list(rows.values())))
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps({"item": item, "vector": row}) for item, row in rows.items()))
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="," if kind == "csv" else "\t")
            writer.writerows([("item", "a", "b"), *((item, *row) for item, row in rows.items())])
    (tmp_path / "lists.jsonl").write_text('{"user": "ann", "item": ["x"]}')
    found = Ranked.from_file(tmp_path / "lists.jsonl", split(), vectors=path).vectors
    assert found.tolist() == [[0.0, 0.0], *rows.values()]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["x,1", "x,2"], "line 3: the item 'x' must have one vector, got two"),
        (["x,1", "q,2"], "line 3: there is no item 'q' among the 5 known"),
        (["x,1"], r"must have a vector for each of 5 items, it lacks 4: \['y"),
        (["x,nan"], "line 2: 'vector' must hold finite numbers, got 'nan'"),
        (["x,1,2"], r"line 2: there must be 2 columns, \['item', 'a'\], got 3"),
    ],
)
def test_what_is_wrong_with_vectors(tmp_path, lines, words):
    (tmp_path / "lists.jsonl").write_text('{"user": "ann", "item": ["x"]}')
    (tmp_path / "items.csv").write_text("\n".join(["item,a", *lines]))
    with pytest.raises(ValueError, match=words):
        Ranked.from_file(tmp_path / "lists.jsonl", split(), vectors=tmp_path / "items.csv")


# ------------------------------------------------------------------ lists of rows, and of users
def ranked(steps: list[int] | None = None, users: tuple[int, ...] = (4, 2, 1, 3)) -> Ranked:
    items = torch.tensor([[user, user % 5 + 1] for user in users])
    return Ranked(torch.tensor(users), items, items.float(), None if steps is None else torch.tensor(steps))


def test_rows_have_the_lists_of_their_users():
    rows = split().train
    items, distances = ranked().of_rows(rows)
    assert items.tolist() == [[user, user % 5 + 1] for user in rows.users.tolist()]
    assert torch.equal(distances, items.float())
    assert ranked().of_rows(rows, 1)[0].tolist() == [[user] for user in rows.users.tolist()]


def test_rows_have_the_lists_of_their_steps():
    rows = SequenceSplit.leave_one_out(Sequences.from_events([1] * 5 + [2] * 4, [1, 2, 3, 4, 5, 1, 2, 3, 4]), 3).train
    assert (rows.users.tolist(), rows.lengths.tolist()) == ([1, 1, 2], [1, 2, 1])
    made = ranked([1, 1, 2, 9], (2, 1, 1, 1))
    assert made.of_rows(rows)[1].tolist() == [[1.0, 2.0], [1.0, 2.0], [2.0, 3.0]]
    with pytest.raises(ValueError, match=r"for the user and step of each of 3 training rows, it lacks those of 1, of"):
        ranked([1, 1, 3, 9], (2, 1, 1, 1)).of_rows(rows)


def test_rows_without_a_list_are_named():
    with pytest.raises(ValueError, match=r"it lacks those of 1, of the users \['Ça'\]"):
        ranked(users=(1, 2, 4)).of_rows(split().train)


def test_users_have_a_table_for_the_sources_of_rankings():
    pairs = Interactions.from_pairs([1, 2, 3, 4], [1, 2, 3, 4], 5, 6, padding=True)
    table = ranked().of_users(pairs)
    assert table.dtype == torch.int32
    assert table[1:].tolist() == [[user, user % 5 + 1] for user in range(1, 5)]
    with pytest.raises(ValueError, match=r"a list for each of 4 users, it lacks 1, the first are \[3\]"):
        ranked(users=(1, 2, 4)).of_users(pairs)
    with pytest.raises(ValueError, match="lists of single rows"):
        ranked([1, 1, 1, 1]).of_users(pairs)


def test_pairs_without_tokens_are_known_by_their_ids(tmp_path):
    pairs = Interactions.from_pairs([0, 1], [0, 1], 2, 3)
    (tmp_path / "lists.csv").write_text("user,item\n1,2\n1,0\n0,1\n0,2\n")
    found = Ranked.from_file(tmp_path / "lists.csv", Split(pairs, pairs, pairs))
    assert found.of_users(pairs).tolist() == [[1, 2], [2, 0]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"items": torch.tensor([[1, 1], [2, 3]])}, "'items' must list an item once for a user"),
        ({"users": torch.tensor([1, 1])}, "'users' and 'steps' must name every list once"),
        ({"distances": torch.tensor([[0.0, -1.0], [0.0, 0.0]])}, "'distances' must be finite and 0 or more"),
        ({"distances": torch.zeros(2, 3)}, r"'items' and 'distances' \(n, K\)"),
        ({"steps": torch.ones(3)}, r"'steps' must be \(2,\), one a list, got \(3,\)"),
    ],
)
def test_what_is_given_is_checked(change, words):
    good = {"users": torch.tensor([1, 2]), "items": torch.tensor([[1, 2], [2, 3]]), "distances": torch.zeros(2, 2)}
    with pytest.raises(ValueError, match=words):
        Ranked(**{**good, **change})
