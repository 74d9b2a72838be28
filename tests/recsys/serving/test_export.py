"""Files that hold the tables."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from recsys import Split
from recsys.models import MF, LightGCN
from recsys.serving.export import export, load_export
from tests.recsys.laws import Pairwise, toy

TOKENS = tuple(f"u{number}" for number in range(30)), tuple(f"i{number}" for number in range(40))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MF(30, 40, 4, std=1.0)


class TestExport:
    def test_the_file_is_plain_safetensors(self, model, tmp_path):
        path = tmp_path / "deep" / "student.safetensors"
        export(model, path, Split(toy(), toy(), toy(), *TOKENS))
        assert set(load_file(path)) == {"user", "item", "seen.ptr", "seen.items", "seen.repeats"}
        found = load_export(path)
        for one, other in zip(found.tables.tables(), model.tables(), strict=True):
            assert torch.equal(one, other)
        assert (found.user_tokens, found.item_tokens) == TOKENS
        assert [each.name for each in path.parent.iterdir()] == ["student.safetensors"]

    def test_without_tokens_and_propagated(self, tmp_path):
        model = LightGCN(toy(), 4)
        export(model, tmp_path / "tables")
        found = load_export(tmp_path / "tables")
        assert torch.equal(found.tables.item, model.tables()[1])
        assert found.user_tokens is None

    def test_a_failed_export_leaves_the_old_file(self, model, tmp_path, monkeypatch):
        path = tmp_path / "tables"
        export(model, path)
        before = path.read_bytes()

        def fail(*_):
            raise OSError("disk full")

        monkeypatch.setattr("safetensors.torch.save", fail)
        with pytest.raises(OSError, match="disk full"):
            export(MF(30, 40, 2), path)
        assert path.read_bytes() == before
        assert len(list(tmp_path.iterdir())) == 1

    def test_what_is_refused(self, model, tmp_path):
        with pytest.raises(TypeError, match="Pairwise scores without tables"):
            export(Pairwise(), tmp_path / "tables")
        with pytest.raises(ValueError, match="'split' must name 30 rows in its user_tokens, got 2"):
            export(model, tmp_path / "tables", Split(toy(), toy(), toy(), ("a", "b"), TOKENS[1]))
        save_file({"user": torch.ones(2, 2)}, tmp_path / "half")
        with pytest.raises(ValueError, match=r"must hold the tables 'user' and 'item', but lacks \['item'\]"):
            load_export(tmp_path / "half")
