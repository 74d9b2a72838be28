"""One process of a federation on Flower: ``python -m tests.schemes.federated.flower_process ROLE PORTS FOLDER``."""

from __future__ import annotations

import importlib
import socket
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch_geometric.nn import MLP

import graphkd
from graphkd import Clients
from graphkd.schemes.federated import Client, Participant, Rule, Server
from tests.core.models import CLASSES, FEATURES, gcn, graph

ROUNDS, SEED = 2, 5
SHORT = {"local": {"epochs": 3}, "distil": {"epochs": 4}}
RUNS = ("fedavg", "fedmd")  # of one architecture, of two
PARTS = (torch.arange(10, 19), torch.arange(19, 30))


GIVEN = {"fedftg": {"rows": 8, "steps": 2}, "fedaux": {"pretrain_epochs": 2}}


def rule(name: str) -> Rule:
    """A method's rule."""
    if name == "fedavg":
        return Rule()
    module = importlib.import_module(f"graphkd.schemes.federated.{name}")
    found: Rule = module.rule(**GIVEN.get(name, {}))
    return found


def models(mixed: bool) -> list[nn.Module]:
    """Two clients' models: with dropout, so that a generator's state matters."""
    torch.manual_seed(3)
    mlp = MLP([FEATURES, 5, CLASSES], norm="batch_norm", dropout=0.3)
    return [gcn(0, dropout=0.5), mlp if mixed else gcn(1, dropout=0.5)]


def part(rows: torch.Tensor):
    data = graph().subgraph(rows)
    data.train_mask[:] = True
    return data


def public():
    return part(torch.arange(10))


def result(name: str, mixed: bool) -> nn.Module:
    """What the run in one process serves."""
    row = next(row for row in graphkd.methods() if row.name == name)
    options = GIVEN.get(name, {})
    for given, value in (("public", public()), ("server", gcn(5)), ("distil_epochs", SHORT["distil"]["epochs"])):
        if given in (*row.needs, *row.settings):
            options = {**options, given: value}
    data = Clients([part(rows) for rows in PARTS], models(mixed))
    options = {**options, "rounds": ROUNDS, "local_epochs": SHORT["local"]["epochs"], "seed": SEED, "progress": False}
    return graphkd.distil(name, None, None, data, **options).model


def sequential(name: str, mixed: bool) -> list[nn.Module]:
    """The clients' models after the run in one process."""
    found = result(name, mixed)
    return list(getattr(found, "models", [found, found]))


def participant(name: str, mixed: bool, who: int) -> Participant:
    client = Client(models(mixed)[who], part(PARTS[who]))
    return Participant(who, client, rule(name), public(), seed=SEED, **SHORT)


def serving(name: str, mixed: bool) -> Server:
    sent = models(mixed) if rule(name).sends == "weights" else ()
    return Server(rule(name), sent, public(), gcn(5), distil=SHORT["distil"], seed=SEED)


def wait_for(port: int, seconds: float = 300) -> None:
    """Return once a server listens: Flower's ``start_client`` gives up at once where none does."""
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def main(role: str, ports: list[int], folder: Path) -> None:
    from graphkd.schemes.federated.flower import FlowerStrategy, client_fn  # first: it ends Flower's telemetry

    # isort: split
    from flwr.client import start_client
    from flwr.server import start_server
    from flwr.supercore import telemetry

    assert telemetry.FLWR_TELEMETRY_ENABLED == "0"
    torch.set_num_threads(1)
    for name, port in zip(RUNS, ports, strict=True):
        address, mixed = f"127.0.0.1:{port}", name == "fedmd"
        if role == "server":
            strategy = FlowerStrategy(serving(name, mixed), 2, ROUNDS, timeout=300)
            history = start_server(server_address=address, config=strategy.config, strategy=strategy)
            torch.save(history.losses_distributed, folder / f"{name}.history.pt")
        else:
            own = participant(name, mixed, int(role))

            def mine(_, own=own):
                return own

            wait_for(port)
            start_client(server_address=address, client_fn=client_fn(mine))
            torch.save(own.client.model.state_dict(), folder / f"{name}.{role}.pt")


if __name__ == "__main__":
    main(sys.argv[1], [int(port) for port in sys.argv[2].split(",")], Path(sys.argv[3]))
