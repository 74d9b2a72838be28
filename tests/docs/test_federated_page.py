"""The blocks of the page of federated clients run, with Flower's loops in the place of a network."""

from __future__ import annotations

import pytest

from tests.core.models import gcn, graph
from tests.docs.blocks import block, run

PAGE = "guides/federated.md"
KEYS = ("ca.pem", "server.pem", "server.key")


@pytest.fixture
def flower(monkeypatch, tmp_path):
    """Flower's two loops, which note how they were called, and a folder with keys."""
    pytest.importorskip("flwr")
    import flwr.client
    import flwr.server

    called = {}
    monkeypatch.setattr(flwr.server, "start_server", lambda **options: called.update(server=options))
    monkeypatch.setattr(flwr.client, "start_client", lambda **options: called.update(client=options))
    monkeypatch.chdir(tmp_path)
    for name in KEYS:
        (tmp_path / name).write_bytes(name.encode())
    return called


@pytest.mark.slow
def test_the_server_is_started_with_its_keys(flower):
    run(block(PAGE, "start_server"), PAGE, {"model": gcn(1)})
    assert flower["server"]["certificates"] == tuple(name.encode() for name in KEYS)
    assert flower["server"]["strategy"] is not None


@pytest.mark.slow
def test_a_client_knows_the_server_by_its_authority(flower):
    run(block(PAGE, "start_client"), PAGE, {"model": gcn(1), "data": graph()})
    assert flower["client"]["root_certificates"] == b"ca.pem"
    assert callable(flower["client"]["client_fn"])
