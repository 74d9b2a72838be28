"""CFD: soft labels in few bits."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkd.schemes.federated import Client, Participant, Server, quantise
from graphkd.schemes.federated._coding import DeltaCode
from graphkd.schemes.federated.cfd import rule
from tests.core.models import gcn
from tests.kernels.graphs import QUICK
from tests.losses.example import STUDENT, TEACHER
from tests.schemes.federated.scene import PARTS, apart, part, public, run


@QUICK
@given(st.lists(st.floats(-4, 4), min_size=3, max_size=3), st.integers(1, 3))
def test_quantise_is_the_nearest_point(logits, bits):
    p, levels = torch.tensor(logits, dtype=torch.float64).softmax(dim=0), 2**bits - 1
    found = quantise(p[None], bits)[0]
    grid = [point for point in itertools.product(range(levels + 1), repeat=3) if sum(point) == levels]
    best = min(sum(abs(g / levels - float(q)) for g, q in zip(point, p, strict=True)) for point in grid)
    assert float((found - p).abs().sum()) == pytest.approx(best, abs=1e-12)
    assert float(found.sum()) == pytest.approx(1)


def test_one_bit_is_the_argmax():
    p = STUDENT.softmax(dim=1)
    assert torch.equal(quantise(p, 1), torch.nn.functional.one_hot(p.argmax(1), 3).double())
    with pytest.raises(ValueError, match="'bits' must be from 1 to 16, got 0"):
        quantise(p, 0)


def test_what_is_read_takes_few_values():
    code = DeltaCode(2)
    read = code.decoded(code.coded(STUDENT), (5, 3))
    torch.testing.assert_close(read.exp().double(), quantise(STUDENT.softmax(dim=1), 2), atol=1e-6, rtol=0)


@pytest.mark.parametrize("bits", [1, 3, 16])
def test_a_message_is_read_as_it_was_coded(bits):
    code = DeltaCode(bits)
    first, second = (code.coded(answers) for answers in (STUDENT, TEACHER))
    assert first.numel() == math.ceil(15 * bits / 8)
    whole, change = code.message(first, None, None), code.message(second, first, first)
    assert int(whole["base"]) == int(whole["known"]) == 0
    assert torch.equal(code.read(whole, None, (5, 3), "it"), first)
    assert torch.equal(code.read(change, first, (5, 3), "it"), second)
    with pytest.raises(ValueError, match="it: 'base' must be the code that came before, got another"):
        code.read(change, second, (5, 3), "it")
    with pytest.raises(ValueError, match=r"it: 'coded' must be the \d+ bytes of \(50, 3\) entries"):
        code.read(whole, None, (50, 3), "it")
    with pytest.raises(ValueError, match="it: 'coded' must be what zlib packed"):
        code.read({**whole, "coded": torch.zeros(9, dtype=torch.uint8)}, None, (5, 3), "it")


def test_what_did_not_change_costs_next_to_nothing():
    code = DeltaCode(8)
    one = code.coded(torch.randn(400, 7, generator=torch.Generator().manual_seed(0)))
    size = lambda code, base: code.message(one, base, None)["coded"].numel()  # noqa: E731
    assert size(code, one) < 0.02 * size(code, None)
    assert size(DeltaCode(8, delta=False), one) == size(code, None)


def test_changes_alone_teach_the_same():
    assert apart(run("cfd", bits=2).model, run("cfd", bits=2, delta=False).model) == 0


def sides() -> tuple[Server, list[Participant]]:
    made, options = rule(2), {"local": {"epochs": 2}, "distil": {"epochs": 2}}
    found = [Participant(k, Client(gcn(k), part(rows)), made, public(), **options) for k, rows in enumerate(PARTS)]
    return Server(made, public=public(), model=gcn(5), distil=options["distil"], min_clients=2), found


def test_who_lost_a_message_is_sent_all_of_the_next():
    server, participants = sides()
    bases = []
    for number in range(4):
        for side in participants:
            if (side.who, number) != (0, 2):  # a broadcast is lost
                side.receive(number, server.broadcast(side.who))
            side.learn(number)
        messages = [side.send() for side in participants]
        bases.append([int(message["base"]) > 0 for message in messages])
        server.serve(number, [None if (who, number) == (1, 1) else message for who, message in enumerate(messages)])
    assert bases == [[False] * 3, [True] * 3, [False, False, True], [True] * 3]
    last = [int(server.broadcast(who)["base"]) > 0 for who in range(3)]
    assert last == [True, True, True]


def test_the_server_has_a_model_of_its_own():
    given_model = gcn(5, width=12)
    found = run("cfd", mixed=True, server=given_model).model
    assert found.convs[0].out_channels == 12
    assert apart(found, given_model) > 1e-4
    assert apart(run("cfd").model, run("cfd", bits=8).model) > 1e-5
