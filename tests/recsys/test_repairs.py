"""Each repair does what it says, twice as well as once, and leaves numpy and scipy as they were."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys import _repairs as repairs
from recsys._repairs import build_in_time, dok_update, numpy_names, repaired


def names():
    return {name: vars(np).get(name) for name in repairs._NUMPY_NAMES}


def test_nothing_happens_on_import():
    code = (
        "import sys, numpy, recsys._repairs, recsys.bridge; "
        "assert 'recbole' not in sys.modules; assert not {'float', 'float_', 'int'} & set(vars(numpy))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numpy_names_are_lent():
    before = names()
    with numpy_names(), numpy_names():
        lent = vars(np)
        assert lent["float_"] is lent["float"] is np.float64
        assert lent["unicode_"]("a") == "a"
        np.long = int  # Config writes such names
    assert names() == before


def test_numpy_names_are_taken_back_after_an_error():
    before = names()
    with pytest.raises(RuntimeError), numpy_names():
        raise RuntimeError
    assert names() == before


def test_dok_update_is_lent():
    sparse = pytest.importorskip("scipy.sparse")
    had = hasattr(sparse.dok_matrix, "_update")
    with dok_update(), dok_update():
        matrix = sparse.dok_matrix((2, 3), dtype=np.float32)
        matrix._update({(0, 1): 2.0, (1, 2): 3.0})
        assert matrix.toarray().tolist() == [[0, 2, 0], [0, 0, 3]]
    assert hasattr(sparse.dok_matrix, "_update") == had


def test_without_recbole(monkeypatch):
    monkeypatch.setitem(sys.modules, "recbole.data.dataset", None)
    with pytest.raises(ImportError, match="RecBole is missing: pip install"), repaired():
        pass


@pytest.mark.usefixtures("recbole")
class TestDatasets:
    @pytest.fixture
    def files(self, tmp_path):
        """A dataset with missing values of every kind, and sequences."""
        folder = tmp_path / "holes"
        folder.mkdir()
        pairs = [(user, item) for user in range(1, 7) for item in range(1, 7)]
        ratings = ["" if (user + item) % 3 == 0 else str(user) for user, item in pairs]
        lines = [f"{u}\t{i}\t{r}\t{100 + n}" for n, ((u, i), r) in enumerate(zip(pairs, ratings, strict=True))]
        head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
        (folder / "holes.inter").write_text("\n".join([head, *lines]))
        head = "item_id:token\tkind:token\ttags:token_seq\tnumbers:float_seq"
        rows = [f"{item}\t{'' if item == 2 else 'k'}\t{'' if item == 3 else 'a b'}\t1 2" for item in range(1, 7)]
        (folder / "holes.item").write_text("\n".join([head, *rows]))
        options = {"data_path": str(tmp_path), "load_col": None, "normalize_all": True}
        return {**options, "discretization": None, "gpu_id": "", "MAX_ITEM_LIST_LENGTH": 5}

    def build(self, options):
        with repaired(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from recbole.config import Config
            from recbole.data.dataset import Dataset

            return Dataset(Config("BPR", "holes", config_dict=options))

    def test_missing_values_are_filled(self, files, monkeypatch):
        monkeypatch.setattr(sys, "argv", ["test"])
        dataset = self.build(files)
        ratings = dataset.inter_feat["rating"].to_numpy()
        assert not np.isnan(ratings).any()
        assert not dataset.item_feat["kind"].isna().any()

    def test_sequences_keep_their_lengths(self, files, monkeypatch):
        monkeypatch.setattr(sys, "argv", ["test"])
        dataset = self.build(files)
        assert [len(tags) for tags in dataset.item_feat["tags"]] == [0, 2, 2, 0, 2, 2, 2]  # padding first
        assert [len(numbers) for numbers in dataset.item_feat["numbers"]][1:] == [2] * 6

    def test_twice_is_once(self):
        from recbole.data.dataset import Dataset

        with repaired():
            before = dict(vars(Dataset))
        with repaired():
            assert dict(vars(Dataset)) == before

    @pytest.mark.parametrize("mode", [False, True])
    def test_autograd_s_anomaly_mode_stays_though_sine_sets_it(self, mode):
        with torch.autograd.set_detect_anomaly(mode):
            with repaired():
                import recbole.model.sequential_recommender.sine as sine

                importlib.reload(sine)
                assert torch.is_anomaly_enabled()
            assert torch.is_anomaly_enabled() == mode

    def test_the_repaired_sources(self):
        with repaired():
            from recbole.data.dataset import Dataset, KnowledgeBasedDataset, SequentialDataset
        for owner in (Dataset, KnowledgeBasedDataset, SequentialDataset):
            for method in vars(owner).values():
                if inspect.isfunction(method) and hasattr(method, "repaired_source"):
                    assert ".agg(len)" not in method.repaired_source
                    assert ".fillna(" not in method.repaired_source or "inplace" not in method.repaired_source
        assert "keep_default_na=False" in Dataset._load_feat.repaired_source

    def test_tokens_stay_and_numbers_may_be_missing(self, files, monkeypatch):
        monkeypatch.setattr(sys, "argv", ["test"])
        path = Path(files["data_path"]) / "holes" / "holes.item"
        path.write_text(path.read_text().replace("1\tk\ta b", "1\tNA\tnull b"))
        dataset = self.build(files)
        item = dataset.token2id("item_id", "1")
        assert dataset.field2id_token["kind"][int(dataset.item_feat["kind"][item])] == "NA"
        assert "null" in dataset.field2id_token["tags"]

    def test_times_are_exact_until_the_split(self, files, monkeypatch):
        monkeypatch.setattr(sys, "argv", ["test"])
        dataset = self.build(
            {**files, "normalize_all": False, "eval_args": {"split": {"TS": [1, 1, 1]}, "order": "TO"}}
        )
        dataset.inter_feat["timestamp"] += 2.0**40  # of which float32 knows multiples of 2**17
        with repaired(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parts = build_in_time(dataset)
        assert len(parts[2]) == 12
        assert parts[2].inter_feat["user_id"].unique().tolist() == [5, 6]  # whose rows are the last
        assert all(part.inter_feat["timestamp"].dtype == torch.float32 for part in parts)
        assert "_change_feat_format" not in vars(parts[0])
