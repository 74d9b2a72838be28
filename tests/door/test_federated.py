"""Federated messages are checked before they are believed, and before anything changes."""

from __future__ import annotations

import logging
import math

import pytest
import torch

from graphkd.schemes.federated import (
    Client,
    Participant,
    Rule,
    Server,
    average_states,
    fedaux,
    fedftg,
    fedmd,
    flower,  # before Flower itself, whose telemetry it ends
)
from graphkd.schemes.federated.fedbe import sample_state
from tests.core.models import CLASSES, gcn
from tests.schemes.federated import flower_process as case
from tests.schemes.federated.scene import PARTS, part, public

GOOD = {"w": torch.ones(2)}
NAN, INF = float("nan"), math.inf

# What client 2 sends as weights -> what is said of it.
BAD_STATES = {
    "NaN": ({"w": torch.full((2,), NAN)}, "'w' must be finite, got NaN or infinity: lower its learning rate"),
    "infinity": ({"w": torch.full((2,), INF)}, "'w' must be finite"),
    "1e30": ({"w": torch.full((2,), 1e30)}, r"'w' must be from -1e\+06 to 1e\+06, got 1e\+30.*give 'max_value'"),
    "int64": ({"w": torch.full((2,), 7)}, r"'w' must be torch\.float32 of shape \(2,\), got torch\.int64"),
    "bool": ({"w": torch.ones(2, dtype=torch.bool)}, r"'w' must be torch\.float32 .*, got torch\.bool"),
    "float64": ({"w": torch.ones(2, dtype=torch.float64)}, r"'w' must be torch\.float32 .*, got torch\.float64"),
    "a shape": ({"w": torch.ones(3)}, r"of shape \(2,\), got torch\.float32 of shape \(3,\)"),
    "a missing entry": ({}, r"expected, got \['w'\] missing"),
    "64 MB besides": ({**GOOD, "extra": torch.zeros(2**24)}, r"expected, got \['extra'\] besides"),
    "a number": ({"w": 1.0}, "'w' must be a dense tensor, got float"),
    "a sparse tensor": ({"w": torch.ones(2).to_sparse()}, "'w' must be a dense tensor, got torch.sparse_coo"),
    "no mapping": ([1.0], "a message must map names to tensors, got list"),
}


@pytest.mark.parametrize("bad", BAD_STATES)
def test_an_average_refuses_what_would_poison_it(bad):
    state, message = BAD_STATES[bad]
    with pytest.raises(ValueError, match=rf"client 2 \(counted from 0\): .*{message}"):
        average_states([GOOD, GOOD, state], [10, 10, 10])
    with pytest.raises(ValueError, match=rf"client 0 \(counted from 0\): .*{message}"):
        average_states([state, GOOD, GOOD])
    with pytest.raises(ValueError, match=rf"client 1 .*{message}"):
        sample_state(GOOD, [GOOD, state], GOOD)


@pytest.mark.parametrize("size", [10**9, 0, -3, NAN, INF])
def test_sizes_are_bounded_by_what_the_server_was_told(size):
    with pytest.raises(ValueError, match=r"client 2 .*'sizes' must be 3 counts above 0 and at most 1e\+06, got"):
        average_states([GOOD, GOOD, GOOD], [10, 10, size])


def test_a_bound_that_is_given_counts():
    whole = average_states([GOOD, {"w": torch.full((2,), 7e7)}], [1, 10**9], max_size=10**9, max_value=1e8)
    assert float(whole["w"][0]) == pytest.approx(7e7)
    with pytest.raises(ValueError, match=r"client 1 .*at most 10, got 11: leave it out, or give 'max_size'"):
        average_states([GOOD, GOOD], [10, 11], max_size=10)
    with pytest.raises(ValueError, match=r"'sizes' must be 2 counts, one a client, got torch\.bool"):
        average_states([GOOD, GOOD], torch.ones(2, dtype=torch.bool))


def test_a_counter_must_not_fall_below_zero():
    state = {"steps": torch.tensor(3)}
    assert average_states([state, state])["steps"] == 3
    with pytest.raises(ValueError, match=r"client 2 .*'steps' must be from 0"):
        average_states([state, state, {"steps": torch.tensor(-1)}])


# ---------------------------------------------------------------------------------------------- the server's round
SIZES = (8, 5, 7)


def server(rule: Rule | None = None, **options) -> Server:
    return Server(rule or Rule(), [gcn(0)] * 3, public(), distil={"epochs": 2, "progress": False}, **options)


def sent(rule: Rule | None = None) -> list[dict]:
    """What three honest clients send."""
    sides = [
        Participant(who, Client(gcn(who), part(rows)), rule or Rule(), public(), local={"epochs": 1}, distil={})
        for who, rows in enumerate(PARTS)
    ]
    return [side.send() for side in sides]


def state(one: Server) -> dict:
    return {name: value.clone() for model in one.globals for name, value in model.state_dict().items()}


WRONG_SIZES = {
    "vector": torch.tensor([1, 2]),
    "NaN": torch.tensor(NAN),
    "float": torch.tensor(8.0),
    "1e9": torch.tensor(10**9),
    "nothing": torch.tensor(0),
    "a number of Python's": 8,
}


@pytest.mark.parametrize("size", [*WRONG_SIZES, "missing"])
def test_a_size_that_is_none_is_refused_and_nothing_changes(size):
    one, messages = server(), sent()
    before = state(one)
    messages[2].pop("size")
    if size != "missing":
        messages[2]["size"] = WRONG_SIZES[size]
    with pytest.raises(ValueError, match=r"client 2 \(counted from 0\): .*'size'"):
        one.serve(0, messages)
    assert all(torch.equal(value, before[name]) for name, value in state(one).items())
    assert one.messages == []


def test_the_server_s_own_bound_of_sizes():
    with pytest.raises(ValueError, match=r"client 0 .*'size' must be from 1 to 7, got 8: .*give 'max_size'"):
        server(max_size=7).serve(0, sent())


def test_a_round_goes_on_without_a_client_where_enough_are_left(caplog):
    one, other, messages = server(min_clients=2), Server(Rule(), [gcn(0)] * 2, distil={}), sent()
    other.serve(0, [messages[0], messages[2]])
    next(value for name, value in messages[1].items() if name != "size").fill_(NAN)
    with caplog.at_level(logging.WARNING):
        one.serve(0, messages)
    assert "round 1 goes on without one client: client 1 (counted from 0)" in caplog.text
    assert one.present == [0, 2]
    assert all(torch.equal(value, state(other)[name]) for name, value in state(one).items())
    with pytest.raises(ValueError, match="round 2 must have 'min_clients' 2 messages to be believed, got 1 of 3"):
        one.serve(1, [messages[0], messages[1], None])


def test_a_client_that_does_not_answer_ends_the_round_unless_it_may_be_missed():
    messages = sent()
    with pytest.raises(ValueError, match=r"client 1 .*there must be a message of it, none came"):
        server().serve(0, [messages[0], None, messages[2]])
    with pytest.raises(ValueError, match="'messages' must be one of each of 3 clients, got 2"):
        server().serve(0, messages[:2])
    with pytest.raises(ValueError, match="'min_clients' must be above 0, got 0"):
        server(min_clients=0)


WRONG_ANSWERS = {
    "NaN": (lambda a: a * NAN, "'answers' must be finite"),
    "1e30": (lambda a: a + 1e30, r"'answers' must be from -1e\+06 to 1e\+06"),
    "other rows": (lambda a: a[:5], r"'answers' must be of floats of shape \(10, any\), got torch.float32 of shape"),
    "other classes": (lambda a: a[:, :2], rf"'answers' must be alike for all, .*\(10, 2\), 2 of 3 .*\(10, {CLASSES}\)"),
    "float64": (lambda a: a.double(), "'answers' must be alike for all, got torch.float64"),
    "classes": (lambda a: a.argmax(dim=1), r"'answers' must be of floats of shape \(10, any\), got torch.int64"),
}


@pytest.mark.parametrize("wrong", WRONG_ANSWERS)
def test_answers_are_checked(wrong):
    change, said = WRONG_ANSWERS[wrong]
    messages = sent(fedmd.rule())
    messages[1]["answers"] = change(messages[1]["answers"])
    with pytest.raises(ValueError, match=rf"client 1 .*{said}"):
        server(fedmd.rule()).serve(0, messages)
    kept = server(fedmd.rule(), min_clients=2)
    kept.serve(0, messages)
    mean = (messages[0]["answers"] + messages[2]["answers"]) / 2
    torch.testing.assert_close(kept.target, mean)


def test_where_two_differ_nobody_is_believed():
    messages = sent(fedmd.rule())
    messages[1]["answers"] = messages[1]["answers"].double()
    with pytest.raises(ValueError, match=r"client 0 .*must be alike for all"):
        server(fedmd.rule()).serve(0, messages[:2])


def test_a_server_with_a_model_knows_the_classes():
    from graphkd.schemes.federated import mhat

    one = Server(mhat.rule(), (), public(), gcn(5), distil={"epochs": 1})
    messages = [{**each, "answers": each["answers"][:, :2]} for each in sent(mhat.rule())]
    with pytest.raises(ValueError, match=rf"client 0 .*of floats of shape \(10, {CLASSES}\), got .*\(10, 2\)"):
        one.serve(0, messages)


def test_what_else_a_rule_tells_is_checked():
    messages = sent(fedaux.rule())
    messages[0]["certainty"] = messages[0]["certainty"] + 5
    with pytest.raises(ValueError, match=r"client 0 .*'certainty' must be from 0 to 1"):
        server(fedaux.rule()).serve(0, messages)
    rule = fedftg.rule(rows=8, steps=1)
    for name, value, said in (
        ("counts", torch.tensor([-1, 2, 3]), "'counts' must be from 0"),
        ("counts", torch.ones(CLASSES), "'counts' must be torch.int64"),
        ("mean", torch.zeros(10**6), "'mean' must be alike for all"),
        ("deviation", torch.full((8,), NAN), "'deviation' must be finite"),
    ):
        messages = sent(rule)
        messages[2][name] = value
        with pytest.raises(ValueError, match=rf"client 2 .*{said}"):
            server(rule).serve(0, messages)
    with pytest.raises(ValueError, match="give both or none"):
        Rule(tell=lambda *_: {})


# ---------------------------------------------------------------------------------------------- the client's side
@pytest.mark.parametrize("who", ["2", 2.9, True, -1, None])
def test_a_client_s_number_is_an_integer(who):
    with pytest.raises(ValueError, match="'who' must be the client's number, an integer from 0, got"):
        Participant(who, Client(gcn(0), part(PARTS[0])), Rule(), local={}, distil={})


def test_a_client_does_not_believe_the_server_either():
    side = Participant(0, Client(gcn(0), part(PARTS[0])), Rule(), local={"epochs": 1}, distil={})
    message = server().broadcast(0)
    before = {name: value.clone() for name, value in side.client.model.state_dict().items()}
    next(iter(message.values())).fill_(INF)
    with pytest.raises(ValueError, match=r"the server: 'weights.*' must be finite"):
        side.receive(0, message)
    assert all(torch.equal(value, before[name]) for name, value in side.client.model.state_dict().items())
    side = Participant(0, Client(gcn(0), part(PARTS[0])), fedmd.rule(), public(), local={}, distil={"epochs": 1})
    with pytest.raises(ValueError, match=rf"the server: 'target' must be of floats of shape \(any, {CLASSES}\)"):
        side.receive(1, {"target": torch.zeros(10, 9)})


# ---------------------------------------------------------------------------------------------- Flower
class Proxy:
    """A client as Flower's server sees it."""

    def __init__(self, place, who):
        self.cid, self.who = f"node-{place}", who

    def get_properties(self, *_):
        return flower.flwr_types.GetPropertiesRes(flower._OK, {"who": self.who})


class Manager:
    def __init__(self, proxies):
        self.proxies = proxies

    def num_available(self):
        return len(self.proxies)

    def wait_for(self, *_):
        return True

    def all(self):
        return {proxy.cid: proxy for proxy in self.proxies}


def strategy(numbers=(0, 1), rounds=1, **options) -> flower.FlowerStrategy:
    serving = Server(Rule(), case.models(False), public(), distil={}, **options)
    found = flower.FlowerStrategy(serving, 2, rounds)
    found.initialize_parameters(Manager([Proxy(*pair) for pair in enumerate(numbers)]))
    return found


@pytest.mark.parametrize("numbers", [(0, "1"), (0, 1.9), (0, True), (0, 0), (0, 2), (0, None), (0, 1, 1)])
def test_flower_clients_are_numbered_by_integers(numbers):
    with pytest.raises(ValueError, match="clients must be numbered 0 to 1 by integers, each once"):
        strategy(numbers)


def result(parameters, size=8):
    return flower.flwr_types.FitRes(flower._OK, parameters, size, {})


def test_flower_s_round_goes_on_without_a_client_that_sends_rubbish(caplog):
    one = strategy(min_clients=1)
    honest = {"size": torch.tensor(8), **one.server.broadcast(0)}
    rubbish = flower.flwr_types.Parameters([b"no safetensors"], "safetensors")
    answers = [(one.order[0], result(flower.pack(honest))), (one.order[1], result(rubbish))]
    with caplog.at_level(logging.WARNING):
        one.aggregate_fit(1, answers, [])
        one.aggregate_fit(1, answers[:1], [OSError("lost")])
    assert "client 1 (counted from 0) sent what cannot be read" in caplog.text
    assert "a client did not answer: lost" in caplog.text
    assert one.server.present == [0]
    with pytest.raises(ValueError, match=r"client 1 .*none came"):
        strategy().aggregate_fit(1, answers, [])


@pytest.mark.parametrize(
    ("loss", "examples", "said"),
    [
        (1.0, -3, "'size' must be from 1"),
        (1.0, 0, "'size' must be from 1"),
        (1.0, 10**10, "'size' must be from 1 to 1e"),
        (NAN, 3, "'loss' must be finite"),
        (1e30, 3, "'loss' must be from"),
        (1.0, NAN, "none came"),
        (1.0, 2.5, "none came"),
    ],
)
def test_flower_s_evaluation_is_checked(loss, examples, said):
    one = strategy()
    receipts = [
        (proxy, flower.flwr_types.EvaluateRes(flower._OK, *numbers, {}))
        for proxy, numbers in zip(one.order, ((0.5, 10), (loss, examples)), strict=True)
    ]
    with pytest.raises(ValueError, match=rf"client 1 .*{said}"):
        one.aggregate_evaluate(1, receipts, [])
    left = strategy(min_clients=1)
    again = [(proxy, each) for proxy, (_, each) in zip(left.order, receipts, strict=True)]
    assert left.aggregate_evaluate(1, again, []) == (0.5, {})


def test_flower_s_mean_is_by_examples():
    one = strategy()
    receipts = [
        (proxy, flower.flwr_types.EvaluateRes(flower._OK, loss, size, {}))
        for proxy, loss, size in zip(one.order, (1.0, 4.0), (10, 20), strict=True)
    ]
    assert one.aggregate_evaluate(1, receipts, []) == (pytest.approx(3.0), {})
    with pytest.raises(ValueError, match=r"'rounds' must be an integer, got 2.0"):
        flower.FlowerStrategy(one.server, 2, 2.0)
