"""The site: all blocks are run by a test, every method has a page whose example is a call that it takes."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import graphkd
import recsys
from docs.site import api, decision, leaderboards, method_pages
from docs.site.mathml import typeset
from docs.site.text import INCLUDE, included, markdown
from graphkd.tasks import AnomalyDetection, Regression
from tests.docs.blocks import DOCS, RUN, blocks
from tests.docs.blocks import run as run_block
from tests.methods import recommenders, scene

ROWS = [*graphkd.methods(), *recsys.methods()]
IDS = [f"{row.module.partition('.')[0]}-{row.name}" for row in ROWS]
PAGES = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_every_block_of_a_page_is_run_by_a_test():
    for page in PAGES:
        found = blocks(page)
        words = RUN.get(page, ())
        assert len(found) == len(words), f"{page} has blocks that no test runs: say how in tests/docs/blocks.py"
        assert all(sum(word in code for code in found) == 1 for word in words), page


def test_included_files_are_there_and_hold_the_lines():
    for page in PAGES:
        for name, first, last in INCLUDE.findall((DOCS / page).read_text()):
            lines = (DOCS.parent / name).read_text().splitlines()
            assert not first or int(first) < int(last) <= len(lines), page


def test_an_included_file_stands_in_the_page():
    made = included("```python\n# include: examples/own_loss.py, lines 15 to 16\n```")
    assert made.startswith("```python\nclass EdgeAgreement(Loss):\n")
    assert "# include" not in "".join(included((DOCS / page).read_text()) for page in PAGES)


def test_links_between_pages_lead_somewhere():
    made = set(api.files()) | set(leaderboards.files()) | {"methods/index.md", "changelog.md", "contributing.md"}
    made |= {f"methods/{method_pages.path_of(row)}" for row in ROWS} | set(PAGES)
    for page in PAGES:
        for target in re.findall(r"\]\(([\w./-]+\.md)(?:#[\w-]+)?\)", (DOCS / page).read_text()):
            path = (DOCS / page).parent.joinpath(target).resolve().relative_to(DOCS.resolve())
            assert path.as_posix() in made, f"{page} links {target}"


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_page_has_all_parts(row):
    text = method_pages.page(row)
    assert text.startswith(f"# {row.name}\n")
    assert "## Example" in text
    assert "## Measured" in text
    assert all(f"| `{name}` |" in text for name in row.settings)


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_an_example_gives_what_the_method_needs(row):
    call = next(node for node in ast.walk(ast.parse(method_pages.example(row))) if isinstance(node, ast.Call))
    package = graphkd if ast.unparse(call.func) == "graphkd.distil" else recsys
    known = {*inspect.signature(package.distil).parameters, *row.settings, *row.needs}
    assert {word.arg for word in call.keywords} <= known
    assert ast.literal_eval(call.args[0]) == row.name


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_an_example_runs(row, monkeypatch, capsys):
    """On the small data on which tests train every method, two epochs."""
    ranked = row.module.startswith("recsys.")
    if not ranked and row.tasks[0] not in scene.KINDS:
        pytest.skip("tests/methods trains the methods of links and graphs")
    package, given = (recsys, recommenders.arguments(row)) if ranked else (graphkd, scene.arguments(row))
    teachers = given["teacher"]
    names = {"data": given["data"], "split": given["data"], "clients": given["data"], "teachers": teachers, **given}
    code = method_pages.example(row)
    spelt = {node.arg for node in ast.walk(ast.parse(code)) if isinstance(node, ast.keyword)}
    rest = {name: value for name, value in given.items() if name not in ("student", "teacher", "data", *spelt)}
    original = package.distil
    monkeypatch.setattr(package, "distil", lambda *of, **options: original(*of, **{**rest, **options}))
    run_block(code, row.name, {**names, package.__name__: package, **_tasks()})
    assert capsys.readouterr().out


def _tasks():
    return {"Regression": Regression, "AnomalyDetection": AnomalyDetection}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("(1/N) sum_i |s_i - t_i|^2.", ("<mo>∑</mo>", "<msup>", "</math></span>.")),
        ("f(v) <- r(a_v sum_u w_vu f(u))", ("←", "<mi>vu</mi>")),
        ("L = alpha KL(p || q)", ("α", "∥", '<mi mathvariant="normal">KL</mi>')),
    ],
)
def test_formulas_are_set(text, parts):
    made = typeset(text)
    assert all(part in made for part in parts), made


@pytest.mark.parametrize(
    "text",
    ["Choose it where a teacher is at hand.", "student: (N, d_s), teacher: (N, d_t).", "``weight`` is 25, at T."],
)
def test_prose_stays(text):
    assert typeset(text) == text


def test_examples_of_docstrings_become_blocks():
    made = markdown("Do it.\n\nExample::\n\n    a = 1\n    b = 2\n\nThen rest.")
    assert "**Example**\n\n```python\na = 1\nb = 2\n```" in made
    assert made.endswith("Then rest.")


def test_public_names_are_found_once():
    pages = api.pages()
    names = [(module, name) for rows in pages.values() for name, module in rows.items()]
    assert len(names) == len(set(names)) > 300
    assert pages["graphkd"]["distil"] == "graphkd.distil"
    assert any("RKD" in rows for rows in pages.values())


def test_the_decision_table_is_of_committed_rows():
    lines = decision.table("../").splitlines()[2:]
    assert len(lines) == sum(len(choice.methods) for choice in decision.CHOICES)
    assert all(re.search(r"\| -?\d+\.\d \| -?\d+\.\d \| [+-]", line) for line in lines), lines


def test_leaderboards_show_every_file_of_rows():
    made = leaderboards.files()
    assert {Path(name).stem for name in made} == {*leaderboards.sets(), "index"}
    assert all("<svg" in text for name, text in made.items() if not name.endswith("index.md"))
