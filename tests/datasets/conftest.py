"""No test here may use the network; raw files come from GRAPHKD_MIRROR or the test is skipped."""

import pytest
import torch

from datasets.mirror import available

_download = torch.hub.download_url_to_file


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def guarded(url, *args, **kwargs):
        assert url.startswith("file:"), f"a test tried to download {url}"
        return _download(url, *args, **kwargs)

    monkeypatch.setattr(torch.hub, "download_url_to_file", guarded)


@pytest.fixture
def needs():
    """Skips the test unless all these raw files are at hand."""

    def check(*relatives):
        missing = [relative for relative in relatives if not available(relative)]
        if missing:
            more = f" and {len(missing) - 1} more" if missing[1:] else ""
            pytest.skip(f"neither GRAPHKD_MIRROR nor the cache has {missing[0]}{more}")

    return check


@pytest.fixture
def needs_dataset(needs):
    """Skips the test unless the raw files of this dataset and split are at hand."""

    def check(name, split):
        folder = {"cora": "Cora", "citeseer": "CiteSeer"}.get(name)
        parts = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
        if folder and split == "public":
            needs(*(f"planetoid/{folder}/raw/ind.{name}.{part}" for part in parts))
        elif folder:
            needs(f"cpf/{name}.npz")

    return check
