"""RecBole, where it is installed."""

import importlib.util

import pytest


@pytest.fixture(scope="session")
def recbole():
    """Skips the test without RecBole."""
    if importlib.util.find_spec("recbole") is None:
        pytest.skip("RecBole is not installed: pip install --no-deps recbole==1.2.1")
