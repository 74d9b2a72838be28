"""Recipes of mirror files on sources of a few lines, by hand; the whole ones are compared by checksum when they run."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.packed import strings
from datasets.recipes import __main__ as recipes
from datasets.recipes.debian import _dependencies, _tags, debian
from datasets.recipes.packing import basis, counts, pack, words, write
from datasets.recipes.tu import tu
from datasets.recipes.wordnet import CLASSES, KINDS, SEED, _synset, wordnet


def rows(held, ptr="x_indptr", index="x_indices"):
    return [held[index][a:b].tolist() for a, b in zip(held[ptr][:-1], held[ptr][1:], strict=True)]


# ------------------------------------------------------------------------------- packing
def test_words_and_counts():
    assert words("A cat's 2nd co-owner, Zoë!") == ["cat", "nd", "co", "owner", "zo"]
    held = counts([["red", "red", "the"], ["red", "blue"], ["blue"], ["green"]], 2)
    assert strings(held, "vocab") == ["blue", "red"]
    assert rows(held) == [[1], [0, 1], [0], []]
    assert held["x_counts"].tolist() == [2, 1, 1, 1]
    assert counts([["red"] * 300], 1)["x_counts"].tolist() == [255]


def test_strings_are_read_as_they_were_packed():
    texts = ["", "a", "größe", "b c"]
    assert strings(pack("name", texts), "name") == texts


def test_a_basis_spans_the_texts_and_has_its_largest_entries_positive():
    held = counts([["aa", "bb"], ["bb", "cc"], ["aa", "cc"], ["aa"]], 1)
    found = basis(held).astype(float)
    assert found.shape == (3, 3)
    np.testing.assert_allclose(found.T @ found, np.eye(3), atol=5e-3)
    assert (found[np.abs(found).argmax(axis=0), range(3)] > 0).all()


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    files = [write(tmp_path / name / "x.npz", {"a": np.arange(5)}) for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


# ------------------------------------------------------------------------------- WordNet
LINES = {
    "noun": (
        "  1 This software is licensed\n"
        '00000001 05 n 01 dog 0 002 @ 00000002 n 0000 + 00000001 v 0101 | a tame wolf; "the dog barks"  \n'
        "00000002 05 n 02 big_animal 0 beast 1 001 ~ 00000001 n 0000 | a big living thing  \n"
    ),
    "verb": "00000001 38 v 01 dog 0 001 + 00000001 n 0101 01 + 02 00 | follow like a dog  \n",
    "adj": "00000009 00 s 01 doggy(a) 0 002 & 00000009 a 0000 & 00000009 a 0101 | like a dog  \n",
    "adv": "",
}


@pytest.fixture
def base(tmp_path):
    for name, text in LINES.items():
        (tmp_path / f"data.{name}").write_text(text)
    return tmp_path


def test_synsets_by_hand(base, monkeypatch):
    monkeypatch.setattr("datasets.recipes.wordnet.LEAST", 1)
    held = wordnet(base)
    order = np.random.RandomState(SEED).permutation(4).tolist()
    place = {old: order.index(old) for old in range(4)}  # dog, big animal, to dog, doggy
    assert [held["y"][place[old]] for old in range(4)] == [5, 5, 38, 0]
    assert [held["pos"][place[old]] for old in range(4)] == [0, 0, 1, 3]
    names = list(KINDS.values())
    wanted = {(0, 1, "hypernym", 0), (0, 2, "derivation", 1), (1, 0, "hyponym", 0), (2, 0, "derivation", 1)}
    wanted |= {(3, 3, "similar_to", 0)}  # a pair that is there twice counts once, as the first
    found = zip(*(held[name].tolist() for name in ("src", "dst", "kind", "lexical")), strict=True)
    assert {(order[a], order[b], names[kind], lexical) for a, b, kind, lexical in found} == wanted
    known = strings(held, "vocab")
    own = rows(held)[place[1]]
    assert [known[index] for index in own] == ["animal", "beast", "big", "living", "thing"]


def test_a_line_of_a_database():
    found = _synset(LINES["adj"], "a")
    assert (found.lemmas, found.gloss) == (["doggy"], "like a dog")
    assert found.pointers[1] == ("&", "00000009", "a", "0101")
    assert (len(CLASSES), len(KINDS)) == (45, 26)


# -------------------------------------------------------------------------------- Debian
PACKAGES = """Package: one
Source: origin (1.0)
Section: contrib/net
Maintainer: A
Installed-Size: 7
Depends: two (>= 1), three | four, one
Suggests: three
Tag: use::{chat, mail}, role::app,
 works::text
Description: a chat client
 more text: that is left out

Package: two
Section: net
Maintainer: B
Recommends: four | three
Depends: gone
Description: a mail client

Package: one
Section: doc
Description: a second one

Package: three
Section: rare
Maintainer: A
Tag: role::app
Description: mail"""


def test_packages_by_hand(tmp_path):
    (tmp_path / "Packages").write_text(PACKAGES)
    held = debian(tmp_path / "Packages", (2, 2, 2))
    order = [["one", "two", "three"][old] for old in np.random.RandomState(20241).permutation(3)]
    place = {name: order.index(name) for name in order}
    assert [held["y"][place[name]] for name in ("one", "two", "three")] == [0, 0, -1]
    assert strings(held, "class") == ["net"]
    found = {
        (order[a], order[b], kind, alternative)
        for a, b, kind, alternative in zip(
            *(held[name].tolist() for name in ("src", "dst", "kind", "alternative")), strict=True
        )
    }
    assert found == {("one", "two", 0, 0), ("one", "three", 0, 0), ("one", "three", 3, 0), ("two", "three", 2, 1)}
    assert strings(held, "tag") == ["role::app"]
    assert [rows(held, "tag_indptr", "tag_indices")[place[name]] for name in order] == [
        [0] if name in ("one", "three") else [] for name in order
    ]
    assert strings(held, "vocab") == ["client", "mail"]
    assert held["size"][place["one"]] == 7
    assert held["maintainer"][place["one"]] == held["maintainer"][place["three"]] != held["maintainer"][place["two"]]
    assert len(set(held["source"].tolist())) == 3


def test_tags_and_dependencies():
    assert _tags("a::{b, c}, d::e, ") == {"a::b", "a::c", "d::e"}
    assert _tags("") == set()
    assert list(_dependencies("a (>= 2) | b, c:any,")) == [("a", 0), ("b", 1), ("c", 0)]


# ------------------------------------------------------------------------ graphs of Zhang
def test_graphs_by_hand(tmp_path):
    folder = tmp_path / "TOY"
    (folder / "10fold_idx").mkdir(parents=True)
    (folder / "TOY.txt").write_text("2\n3 1\n5 2 1 2\n7 1 0\n5 2 0 2\n2 -1\n9 1 1\n5 1 0\n")
    for number in range(1, 11):
        (folder / "10fold_idx" / f"test_idx-{number}.txt").write_text("1\n" if number == 3 else "")
    held = tu(folder)
    assert held["y"].tolist() == [1, 0]
    assert held["node_label"].tolist() == [0, 1, 0, 2, 0]
    assert held["node_ptr"].tolist() == [0, 3, 5]
    assert held["edge_ptr"].tolist() == [0, 2, 3]
    assert list(zip(held["edge_a"].tolist(), held["edge_b"].tolist(), strict=True)) == [(0, 1), (0, 2), (0, 1)]
    assert held["fold"].tolist() == [-1, 2]
    assert "attr" not in held
    (folder / "10fold_idx" / "test_idx-4.txt").write_text("1\n")
    with pytest.raises(ValueError, match="fold 4 tests graphs that another fold tests"):
        tu(folder)


# ------------------------------------------------------------------------ the command line
def test_a_file_that_is_not_the_known_one_is_said_to_be_another(base, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("datasets.recipes.wordnet.LEAST", 1)
    assert recipes.main(["wordnet", str(base), str(tmp_path / "mirror")]) == 1
    out = capsys.readouterr().out
    assert "wordnet.npz: sha256 " in out
    assert "which is not the known file, f445e923" in out
    assert (tmp_path / "mirror" / "more" / "wordnet.npz").is_file()


def test_a_source_that_is_not_there(tmp_path, capsys):
    with pytest.raises(SystemExit):
        recipes.main(["nci1", str(tmp_path / "NCI1"), str(tmp_path)])
    assert "the source of 'nci1' is the folder data/NCI1 of github.com" in capsys.readouterr().err


def test_molecules_need_rdkit_or_give_their_atoms(tmp_path):
    chem = pytest.importorskip("rdkit.Chem")
    from datasets.recipes.molecules import solubility

    for part, texts in (("train", ("CCO", "c1ccccc1")), ("test", ("[NH4+]",))):
        with chem.SDWriter(str(tmp_path / f"solubility.{part}.sdf")) as writer:
            for text in texts:
                molecule = chem.MolFromSmiles(text)
                molecule.SetProp("SOL", "-1.5")
                writer.write(molecule)
    held = solubility(tmp_path)
    assert held["part"].tolist() == [0, 0, 1]
    assert np.diff(held["node_ptr"]).tolist() == [3, 6, 1]
    assert held["atom"][2].tolist()[:4] == [2, 1, 0, 1]  # the oxygen: its element, degree, charge, hydrogens
    assert held["bond"][:2, 0].tolist() == [0, 0]
    assert held["bond"][2:8].tolist() == [[3, 1, 1]] * 6
    assert held["y"].tolist() == [-1.5] * 3


def test_rdkit_is_missing_in_words(tmp_path, monkeypatch):
    from datasets.recipes.molecules import solubility

    monkeypatch.setitem(__import__("sys").modules, "rdkit", None)
    with pytest.raises(ValueError, match="pip install rdkit"):
        solubility(tmp_path)
