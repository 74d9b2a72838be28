"""RecBole where it is installed, and one thread: on tiny tensors more of them only wait for each other."""

import importlib.util

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def recbole():
    """Skips the test without RecBole."""
    if importlib.util.find_spec("recbole") is None:
        pytest.skip("RecBole is not installed: pip install --no-deps recbole==1.2.1")
