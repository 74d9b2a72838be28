"""MHAT: the server's model learns from clients, and clients from it."""

from __future__ import annotations

from tests.core.models import gcn
from tests.schemes.federated.scene import apart, run


def test_the_server_has_a_model_of_its_own():
    given_model = gcn(5, width=12)
    found = run("mhat", mixed=True, server=given_model).model
    assert found.convs[0].out_channels == 12
    assert apart(found, given_model) > 1e-4
    assert found is not given_model


def test_by_default_it_is_a_fresh_student():
    assert run("mhat").model.convs[0].out_channels == 8
    assert type(run("mhat", mixed=True).model).__name__ == "GCN"  # the first client's
