"""Files of one's own on the command line of rankings, and settings that others published."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from benchmarks.options import SETTINGS, settings_folders
from benchmarks.ranking.models import OF_LIGHTGCN
from benchmarks.recsys import METHODS, Series, main, parse
from benchmarks.rows import failed
from recsys import Interactions, Split
from recsys.data.same_ids import check_same_ids

SHORT = ["--teacher", "mf:8", "--student", "mf:4", "--epochs", "1", "--seeds", "1", "--methods", "none"]
COLUMNS = ["--user", "who", "--item", "what"]


def events(users, items, each, seed=0):
    """Rows (user, item, time): every user takes some items, at different times."""
    random = np.random.default_rng(seed)
    rows = [(f"u{user}", f"i{item}") for user in range(users) for item in random.permutation(items)[:each]]
    return [(*row, int(time)) for row, time in zip(rows, random.permutation(len(rows)), strict=True)]


def write(path, rows):
    path.write_text("\n".join(["who,what,when", *(",".join(map(str, row)) for row in rows)]))
    return path


@pytest.fixture
def clicks(tmp_path):
    return write(tmp_path / "clicks.csv", events(40, 30, 8))


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("ratio", lambda pairs: Split.ratio(pairs, seed=3)),
        ("time", Split.by_time),
        ("user-time", lambda pairs: Split.by_time(pairs, within_users=True)),
        ("last", Split.leave_last_out),
    ],
)
def test_splits(name, made, clicks):
    asked = ["--data", str(clicks), *COLUMNS, "--time", "when", "--split", name, "--first-seed", "3", *SHORT]
    found = Series(parse(asked), 3).split
    pairs = Interactions.from_tokens(*zip(*events(40, 30, 8), strict=True))
    check_same_ids(found, made(pairs))
    assert found.item_tokens == pairs.item_tokens


def test_seeds_share_a_split_where_its_seed_is_given(clicks):
    asked = ["--data", str(clicks), *COLUMNS, *SHORT]
    of_seed, other = Series(parse(asked), 3).split, Series(parse(asked), 5).split
    shared = Series(parse([*asked, "--split-seed", "3"]), 5)
    pairs = [split.train.pairs() for split in (of_seed, other, shared.split)]
    assert all(map(torch.equal, pairs[0], pairs[2]))
    assert not all(map(torch.equal, pairs[0], pairs[1]))
    rows = main([*asked, "--split-seed", "3"])
    assert {row["options"]["split_seed"] for row in rows} == {3}


def test_rows_say_which_data_they_are_of(clicks, tmp_path):
    rows = main(["--data", str(clicks), *COLUMNS, *SHORT])
    assert not failed(rows)
    assert {row["dataset"] for row in rows} == {"clicks.csv"}
    data = rows[0]["options"]["data"]
    assert (data["user"], data["split"], len(data["sha256"])) == ("who", "ratio", 1)
    write(clicks, events(40, 30, 8, seed=1))
    assert main(["--data", str(clicks), *COLUMNS, *SHORT])[0]["options"]["data"]["sha256"] != data["sha256"]


def test_three_files_are_split_already(tmp_path):
    rows = events(40, 30, 8)
    parts = [write(tmp_path / f"{name}.csv", rows[place::3]) for place, name in enumerate(("train", "valid", "test"))]
    found = Series(parse(["--data", *map(str, parts), *COLUMNS, *SHORT]), 0).split
    assert [len(part) for part in (found.train, found.valid, found.test)] == [len(rows[place::3]) for place in range(3)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["catalogue of 12", "all but 3", "all"])
def test_small_catalogues_and_heavy_users_end_no_method(kind, tmp_path):
    items, rows = (12, events(40, 12, 6)) if kind == "catalogue of 12" else (60, events(40, 60, 8))
    random = np.random.default_rng(0)
    order = [rows[place] for place in random.permutation(len(rows))]
    parts = {
        "train": order[len(rows) // 4 :],
        "valid": order[: len(rows) // 8],
        "test": order[len(rows) // 8 : len(rows) // 4],
    }
    if kind != "catalogue of 12":
        parts["train"] += [("bot", f"i{item}", 0) for item in range(items if kind == "all" else items - 3)]
    files = [str(write(tmp_path / f"{name}.csv", part)) for name, part in parts.items()]
    asked = ["--data", *files, *COLUMNS, *SHORT[:-1], "all", "--out", str(tmp_path / "rows.jsonl")]
    assert not failed(main(asked))
    found = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert {row["method"] for row in found} == {"teacher", *METHODS} - {*OF_LIGHTGCN}
    notes = {row["method"]: " ".join(row.get("notes", [])) for row in found}
    assert all("here, as many as there are, not 40" in notes[name] for name in ("rrd", "irrrd"))
    assert ("train nothing here: 'bot'" in notes["none"]) == (kind == "all")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--time", "when"], "'--time' and '--split' belong to '--data'"),
        (["--split", "time"], "'--time' and '--split' belong to '--data'"),
        (["--data", "FILE", "--data-path", "."], "give one of them"),
        (["--data", "FILE", "FILE", *COLUMNS], "must be one file, or three of training, validation and test, got 2"),
        (["--data", "FILE", "FILE", "FILE", *COLUMNS, "--split", "last"], "three are split already"),
        (["--data", "FILE", *COLUMNS, "--split", "time"], "'--split time' needs '--time'"),
        (["--data", "FILE", *COLUMNS, "--protocol", "loo"], "say '--split last' with it"),
        (["--data", "FILE"], "must have the columns ['user', 'item'], it lacks ['user', 'item']"),
        (["--data", "nowhere.csv"], "there is no file 'nowhere.csv'"),
        (["--data", "ONE", *COLUMNS], "must leave interactions to each part of the split, got none for"),
        (["--data", "FILE", *COLUMNS, "--teacher", "BPR:4"], "is a model of RecBole: it needs 'ml-100k'"),
    ],
)
def test_wrong_arguments_end_with_a_message(arguments, message, clicks, tmp_path, capsys):
    one = write(tmp_path / "one.csv", [("a", "b", 1)])
    places = {"FILE": str(clicks), "ONE": str(one)}
    with pytest.raises(SystemExit):
        main([places.get(each, each) for each in arguments])
    assert message in " ".join(capsys.readouterr().err.split())


class TestSettings:
    def test_published_ones_are_read_by_name(self):
        asked = ["--dataset", "citeulike-td", "--methods", "none,rrd,de,cd_student", "--settings", "kds"]
        given = parse(asked).given
        assert given["rrd"] == {"weight": 0.1, "k": 100, "l": 200, "length": 500, "scale": 10.0, "weight_decay": 1e-5}
        assert given["cd_student"]["weight"] == 1.0  # twice theirs, by the units
        narrow = parse([*asked, "--teacher", "lightgcn:64", "--student", "mf:8", "--set", "rrd.k=7"]).given
        assert (narrow["rrd"]["weight"], narrow["rrd"]["length"], narrow["rrd"]["k"]) == (0.05, 200, 7)

    def test_those_that_a_search_found_are_of_the_models_that_it_had(self, capsys):
        asked = ["--methods", "none,rrd", "--settings", "tuned"]
        given = parse([*asked, "--teacher", "mf:64", "--student", "mf:8"]).given
        assert given["none"].keys() == {"epochs", "patience", "lr", "weight_decay"}
        assert 0.001 < given["rrd"]["weight"] < 0.1
        with pytest.raises(SystemExit):
            parse([*asked, "--teacher", "lightgcn:64", "--student", "mf:8"])
        assert "'--settings tuned' is of no effect: ml-100k.toml has nothing for" in capsys.readouterr().err

    @pytest.mark.parametrize("file", sorted(SETTINGS.glob("kds/*.toml")), ids=lambda file: file.stem)
    def test_every_published_file_names_what_there_is(self, file):
        methods = ",".join(name for name in METHODS if name not in OF_LIGHTGCN)
        for pair in (("mf", "mf"), ("lightgcn", "lightgcn"), ("lightgcn", "mf")):
            models = ["--teacher", f"{pair[0]}:8", "--student", f"{pair[1]}:4"]
            given = parse(["--dataset", "skewed", "--methods", methods, "--settings", str(file), *models]).given
            assert given["none"]["weight_decay"] > 0
            assert given["rrd"]["weight"] > 0

    def test_a_file_of_ones_own(self, tmp_path):
        (tmp_path / "mine.toml").write_text("[rrd]\nk = 5\nlr = 0.01\n")
        given = parse(["--dataset", "skewed", "--methods", "rrd,none", "--settings", str(tmp_path / "mine.toml")]).given
        assert (given["rrd"]["k"], given["rrd"]["lr"], given["none"]) == (5, 0.01, {})

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[rdd]\nk = 5", "'rdd' is not a method in mine.toml; the nearest are"),
            ("[rrd]\nkk = 5", "'kk' is not a setting of 'rrd' in mine.toml"),
            ("rrd = 5", "must have a table of settings for 'rrd', got 5"),
            ("[rrd", "must be a TOML file"),
        ],
    )
    def test_wrong_files_end_with_a_message(self, text, message, tmp_path, capsys):
        (tmp_path / "mine.toml").write_text(text)
        with pytest.raises(SystemExit):
            parse(["--dataset", "skewed", "--methods", "rrd", "--settings", str(tmp_path / "mine.toml")])
        assert message in " ".join(capsys.readouterr().err.split())

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("kds", "'--settings kds' has none for 'skewed', but for ['citeulike', 'gowalla']"),
            ("no", "got 'no': there is no"),
        ],
    )
    def test_names_that_there_are_not(self, name, message, capsys):
        assert settings_folders() == ["kds", "tuned"]
        with pytest.raises(SystemExit):
            parse(["--dataset", "skewed", "--settings", name])
        assert message in " ".join(capsys.readouterr().err.split())
