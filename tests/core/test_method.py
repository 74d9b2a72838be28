"""Metadata of methods: what the decorator makes of a function, and what is read without importing."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap

import pytest
import torch

import graphkd
from graphkd.core.catalogue import Catalogue
from graphkd.core.method import OPTIONS, Method, as_method, check_settings, method

SOURCE = '''
"""Methods of a test."""
from graphkd.core.method import method

@method("soft", preset={"weight": 2.0})
@method("plain", family="made", paper="Nobody, 2020", arxiv="2001.00001", needs=("hidden",),
        cannot={"loader": "it walks over the graph"}, published={"epochs": 3}, space={"kind": ("a", "b")})
def plain(problem, *, weight: float = 0.5, kind: str = "a", steps: int = 4):
    """Do something plain.

    More of it.
    """
    return weight, kind, steps
'''


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    """A package of one file, whose import is noticed."""
    package = tmp_path / "made_methods"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "plain.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield Catalogue("made_methods")
    for name in ("made_methods", "made_methods.plain"):
        sys.modules.pop(name, None)


def test_the_table_is_read_without_importing(catalogue):
    plain, soft = catalogue
    assert "made_methods.plain" not in sys.modules
    assert (plain.name, plain.family, plain.paper, plain.arxiv) == ("plain", "made", "Nobody, 2020", "2001.00001")
    assert plain.needs == ("hidden", "whole graph")
    assert plain.settings == {"weight": 0.5, "kind": "a", "steps": 4}
    assert plain.space == {"weight": (0.5 / 30, 15.0), "kind": ("a", "b")}
    assert plain.published == {"epochs": 3}
    assert plain.summary == "Do something plain."
    assert (soft.name, soft.settings["weight"], soft.family) == ("soft", 2.0, "made")


def test_the_table_is_what_the_decorator_makes(catalogue):
    for row in catalogue:
        found = catalogue.find(row.name)
        assert isinstance(found, Method)
        for field in ("name", "family", "paper", "arxiv", "tasks", "needs", "settings", "space", "summary", "module"):
            assert getattr(found, field) == getattr(row, field), field
    assert catalogue.find("soft")(None, steps=1) == (2.0, "a", 1)
    assert catalogue.find("plain")(None) == (0.5, "a", 4)


def test_every_name_that_stands_above_another_starts_from_the_first():
    @method("third", preset={"b": 3})
    @method("second", preset={"a": 2})
    @method("first", family="made")
    def function(problem, *, a: int = 1, b: int = 1):
        return a, b

    assert [each.name for each in (function, *function.also)] == ["third", "second", "first"]
    assert [each(None) for each in (function, *function.also)] == [(1, 3), (2, 1), (1, 1)]


def test_an_unknown_name_is_answered_with_the_nearest(catalogue):
    with pytest.raises(ValueError, match="there is no method 'plian'; the nearest are 'plain', 'soft'"):
        catalogue.find("plian")


def test_an_unknown_task_or_family_is_answered_with_those_that_there_are(catalogue):
    assert [row.name for row in catalogue.select(family="made")] == ["plain", "soft"]
    with pytest.raises(ValueError, match=r"'family' one of \['made'\], got None, 'other'"):
        catalogue.select(family="other")


def test_metadata_that_are_no_literals_are_refused_with_their_place(tmp_path, monkeypatch):
    package = tmp_path / "made_badly"
    package.mkdir()
    (package / "__init__.py").write_text('NAME = "x"\n\n@method("x", family=NAME)\ndef x(problem): ...\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"__init__.py:3: arguments of @method and defaults must be literals"):
        len(Catalogue("made_badly"))


def test_a_setting_that_there_is_not_is_answered_with_the_near_one():
    chosen = as_method(lambda problem, *, weight=1.0: weight)
    check_settings(chosen, {"weight"})
    with pytest.raises(TypeError, match="has no setting 'wieght'; did you mean 'weight'"):
        check_settings(chosen, {"wieght"})


def test_a_method_is_a_name_a_loss_or_a_function():
    with pytest.raises(TypeError, match="'method' must be a name, a loss or a function of a Problem, got int"):
        as_method(3)


def test_importing_the_library_loads_no_method_and_a_name_loads_its_file_alone():
    code = """
    import sys, graphkd
    rooms = ("graphkd.losses.", "graphkd.schemes.", "graphkd.gnn.")
    loaded = lambda: sorted(name for name in sys.modules if name.startswith(rooms))
    assert loaded() == [], loaded()
    assert len(graphkd.methods()) > 50
    assert loaded() == [], loaded()
    from graphkd.distil import CATALOGUE
    CATALOGUE.find("ban")
    others = [name for name in loaded() if name.startswith("graphkd.schemes.") and name.count(".") == 3]
    assert "graphkd.schemes.self.ban" in others, others
    assert not any(name.endswith((".dml", ".takd", ".sskd")) for name in others), others
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_settings_do_not_have_the_names_of_options():
    """Which the door would take for its own."""
    given = inspect.signature(graphkd.distil).parameters.values()
    named = {p.name for p in given if p.kind is p.KEYWORD_ONLY}
    assert named == OPTIONS

    data = {"x": torch.ones(2, 2), "y": torch.arange(2), "train_mask": torch.ones(2, dtype=torch.bool)}

    def mine(problem, *, features=4):
        return problem.supervised()

    with pytest.raises(TypeError, match=r"settings of 'mine' must have names of their own, \['features'\] are options"):
        graphkd.distil(mine, torch.nn.Linear(2, 2), None, data)


def test_the_rooms_are_attributes_that_are_imported_when_asked_for():
    code = (
        "import sys, graphkd\n"
        "assert 'graphkd.losses' not in sys.modules\n"
        "assert graphkd.losses.KL and graphkd.tasks.NodeClassification and 'losses' in dir(graphkd)\n"
        "assert callable(graphkd.distil) and not hasattr(graphkd, 'nothing')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
