"""Every golden case passes, and a case that does not pass is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import parity

GOLDEN = Path(__file__).parent / "golden"
FOLDERS = [GOLDEN / name for name in ("generic", "graph", "newgraph", "newrec", "recsys")]
CASES = [(folder, case) for folder in FOLDERS for case in json.loads((folder / "index.json").read_text())]


@pytest.mark.parametrize(("folder", "case"), CASES, ids=[case["file"].removesuffix(".npz") for _, case in CASES])
def test_case(folder, case):
    if case["file"].startswith(parity.SAMPLERS):
        pytest.skip("a law: a chi-square test of its own checks the sampler")
    value, gradient, passed = parity.run_case(case, folder)
    assert passed, f"worst relative errors: value {value:.1e}, gradient {gradient:.1e}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_file_is_in_the_index(folder):
    assert {path.name for path in folder.glob("*.npz")} == {case["file"] for of, case in CASES if of == folder}


@pytest.fixture
def write(tmp_path):
    """A folder with one golden case, whose arrays and entry a test may change."""

    def one(file="lsp_cosine.a.npz", change=None, **entry):
        folder, case = next(pair for pair in CASES if pair[1]["file"] == "lsp_cosine.a.npz")
        shutil.copyfile(folder / case["file"], tmp_path / file)
        if change is not None:
            with np.load(tmp_path / file) as arrays:
                changed = {**arrays, **change(arrays)}
            (tmp_path / file).chmod(0o644)
            np.savez(tmp_path / file, **changed)
        (tmp_path / "index.json").write_text(json.dumps([{**case, "file": file, **entry}]))
        return tmp_path

    return one


def test_unchanged(write, capsys):
    assert parity.main(write()) == 0
    line, count = capsys.readouterr().out.splitlines()
    assert line.startswith("lsp_cosine.a.npz  ")
    assert line.endswith("  ok")
    assert count == "1 passed, 0 failed, 0 skipped"


@pytest.mark.parametrize("name", ["loss", "grad_student_features"])
@pytest.mark.parametrize(("off", "line_end", "code"), [(1e-8, "FAIL", 1), (1e-10, "ok", 0)])
def test_a_value_beyond_the_bound_fails(write, capsys, name, off, line_end, code):
    changed = write(change=lambda arrays: {name: arrays[name] * (1 + off)})
    assert parity.main(changed) == code
    line, count = capsys.readouterr().out.splitlines()
    assert line.endswith(line_end)
    assert count == f"{1 - code} passed, {code} failed, 0 skipped"


def test_gradients_of_a_formula_have_the_bound_of_finite_differences(write):
    change = {"change": lambda arrays: {"grad_student_features": arrays["grad_student_features"] * (1 + 1e-8)}}
    assert parity.main(write(**change)) == 1
    assert parity.main(write(**change, source="formula")) == 0


def test_nan_fails(write, capsys):
    assert parity.main(write(change=lambda arrays: {"loss": np.array(np.nan)})) == 1
    assert "FAIL" in capsys.readouterr().out


def test_case_without_an_adapter_fails(write, capsys):
    assert parity.main(write("lsp_unheard_of.a.npz")) == 1
    line, count = capsys.readouterr().out.splitlines()
    assert line.startswith("lsp_unheard_of.a.npz  ")
    assert line.endswith("no adapter")
    assert count == "0 passed, 1 failed, 0 skipped"


def test_laws_of_samplers_are_skipped(write, capsys):
    assert parity.main(write("sampler_uniform.a.npz")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 0 failed, 1 skipped"


def test_parameters_are_honoured(write):
    """Another weight is another loss."""
    assert parity.main(write(params={"kernel": "cosine", "beta": 3.0})) == 1


def test_an_error_fails_its_case_and_the_others_run(write, capsys):
    folder = write(params={"kernel": "unheard of", "beta": 100.0})
    (broken,) = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps([broken, CASES[0][1], {**broken, "params": {"kernel": "cosine"}}]))
    shutil.copyfile(CASES[0][0] / CASES[0][1]["file"], folder / CASES[0][1]["file"])
    assert parity.main(folder) == 1
    first, second, third, count = capsys.readouterr().out.splitlines()
    assert first == "lsp_cosine.a.npz  -  -  FAIL  KeyError: 'unheard of'"
    assert second.endswith("  ok")
    assert third == "lsp_cosine.a.npz  -  -  FAIL  KeyError: 'beta'"
    assert count == "1 passed, 2 failed, 0 skipped"


def test_an_output_of_another_shape_fails(write, capsys):
    """Not one that would be broadcast to the wanted shape."""
    assert parity.main(write(change=lambda arrays: {"loss_aux": np.full(3, arrays["loss_aux"])})) == 1
    assert capsys.readouterr().out.splitlines()[0].split() == ["lsp_cosine.a.npz", "inf", "0.0e+00", "FAIL"]


def test_a_missing_output_fails_by_its_name(write, capsys):
    folder = write(change=lambda arrays: {"loss_unheard_of": arrays["loss"]})
    (case,) = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps([{**case, "outputs": {**case["outputs"], "loss_unheard_of": []}}]))
    assert parity.main(folder) == 1
    assert capsys.readouterr().out.startswith("lsp_cosine.a.npz  -  -  FAIL  KeyError: 'loss_unheard_of'")


def test_a_quantity_stored_as_integers_has_a_gradient(write):
    """Against features that are far from whole numbers its value is another, but it is there."""
    folder = write(change=lambda arrays: {"student_features": arrays["student_features"].round().astype(np.int64)})
    (case,) = json.loads((folder / "index.json").read_text())
    value, gradient, passed = parity.run_case(case, folder)
    assert not passed
    assert 0 < value < np.inf
    assert 0 < gradient < np.inf
