"""Interactions from data frames and files."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys import Interactions
from recsys.data.tabular import read_interactions
from tests.recsys.data.test_splitting import told

TEXT = st.text(alphabet='aN0159 ,"\té雪\n', min_size=1, max_size=4).filter(lambda text: text.strip("\n"))
ROWS = st.lists(st.tuples(TEXT, TEXT, st.integers(-9, 9)), min_size=1)


@settings(max_examples=50, deadline=None)
@given(ROWS, st.booleans())
def test_text_of_any_ids_is_read_as_it_was_written(tmp_path_factory, rows, tabs):
    path = tmp_path_factory.mktemp("log") / ("log.tsv" if tabs else "log.csv")
    with path.open("w", newline="", encoding="utf-8-sig" if tabs else "utf-8") as file:
        writer = csv.writer(file, delimiter="\t" if tabs else ",")
        writer.writerows([("when", "item", "other", "user"), *((time, item, "", user) for user, item, time in rows)])
    assert told(read_interactions(path, time="when")) == dict(enumerate(rows))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from("abc"), st.floats(-9, 9)), min_size=1))
def test_arrays(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("log") / "log.npz"
    np.savez(path, **{name: np.array([row[side] for row in rows]) for side, name in enumerate(("u", "i", "t"))})
    found = read_interactions(path, "u", "i", "t")
    assert told(found) == {row: (str(user), item, time) for row, (user, item, time) in enumerate(rows)}


def test_frames():
    pandas = pytest.importorskip("pandas")
    columns = {"who": ["b", "a", "b"], "what": [10, 9, 9], "when": [3, 1, 2]}
    frame = pandas.DataFrame(columns, index=[7, 5, 3])
    found = [Interactions.from_dataframe(each, "who", "what", "when") for each in (frame, columns)]
    assert told(found[0]) == told(found[1]) == {0: ("b", "10", 3), 1: ("a", "9", 1), 2: ("b", "9", 2)}
    assert Interactions.from_dataframe(frame, "who", "what").times is None
    with pytest.raises(
        ValueError, match=r"'frame' must have the columns \['user', 'what'\], it lacks \['user'\] among"
    ):
        Interactions.from_dataframe(frame, item="what")
    for wrong in ([1, 2], 3, None):
        with pytest.raises(TypeError, match="'frame' must be a table with named columns"):
            Interactions.from_dataframe(wrong, "who", "what")


def test_what_was_saved(tmp_path):
    pairs = Interactions.from_tokens(["a", "b"], [1, 2], [3, 4])
    pairs.save(tmp_path / "pairs.safetensors")
    assert told(read_interactions(tmp_path / "pairs.safetensors")) == told(pairs)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "log.csv",
            b"user,item\na,b\n\na\n,b\na,b,c\n",
            r"2 columns in every line.*line 4: \['a'\]; line 5: \['', 'b'\]",
        ),
        (
            "log.csv",
            b"user;item\na;b\n",
            r"must have the columns \['user', 'item'\], it lacks .* among \['user;item'\]",
        ),
        ("log.csv", b"", r"it lacks \['user', 'item'\] among \[\]"),
        ("log.csv", b"user,item\n\xff,b\n", "must be text in UTF-8"),
        ("log.csv", b'user,item\n"a,b\n', "must be separated by ','"),
        ("log.txt", b"user,item\na,b\n", "are read from .csv, .tsv, .npz or .safetensors"),
    ],
)
def test_files_that_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_interactions(tmp_path / name)


def test_others_that_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        read_interactions(tmp_path / "none.csv")
    (tmp_path / "log.csv").write_text("user,item,time\na,b,1\na,b,soon\n")
    with pytest.raises(
        ValueError, match=r"log.csv': 'times' must hold numbers, .* got 'soon' in row 1 \(the first below"
    ):
        read_interactions(tmp_path / "log.csv", time="time")
    np.savez(tmp_path / "log.npz", user=np.array(["a", None]), item=np.array([1, 2]))
    with pytest.raises(ValueError, match=r"must be an .npz of plain arrays, no objects, .*texts: dtype str"):
        read_interactions(tmp_path / "log.npz")
