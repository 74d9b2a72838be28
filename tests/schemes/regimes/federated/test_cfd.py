"""CFD where its paper has it: answers go over the wire in every round, and must cost little."""

from __future__ import annotations

from graphkd.schemes.federated import Participant
from tests.schemes.regimes.federated.scene import federation, right, run
from tests.schemes.regimes.scene import mean_of

METHODS = ("cfd",)
OPTIONS = {"rounds": 4, "local_epochs": 8, "distil_epochs": 20}


def costs(message) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in message.values())


def test_a_fraction_of_the_bytes_teaches_nearly_as_much(seed_offset, monkeypatch):
    sent, send, receive = [], Participant.send, Participant.receive

    def counted(side: Participant):
        message = send(side)
        sent.append(costs(message))
        return message

    def counting(side: Participant, number: int, message) -> None:
        sent.append(costs(message))
        receive(side, number, message)

    monkeypatch.setattr(Participant, "send", counted)
    monkeypatch.setattr(Participant, "receive", counting)

    def measured(seed: int, name: str, **coding) -> tuple[float, int]:
        """Accuracy, and bytes both ways."""
        sent.clear()
        having = federation(seed, alpha=0.3)
        found = right(run(name, having, seed, **OPTIONS, **coding), having.test)
        return found, sum(sent)

    def holds(**coding) -> bool:
        """Less than 4 points lost against answers as they are, at less than a twentieth of their bytes."""

        def lost(seed: int) -> float:
            (right_whole, whole), (right_coded, coded) = measured(seed, "mhat"), measured(seed, "cfd", **coding)
            shares.append(coded / whole)
            return right_whole - right_coded

        shares: list[float] = []
        return mean_of(lost, 6, seed_offset) < 4 and max(shares) < 0.05

    assert holds()
    assert not holds(bits=16, delta=False)
