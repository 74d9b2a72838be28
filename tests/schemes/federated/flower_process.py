"""One process of a federation on Flower: ``python -m tests.schemes.flower_process ROLE PORTS FOLDER``."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch_geometric.nn import MLP

from graphkd.schemes.federated import METHODS, Client, Federation, Method, Participant, Server, fedftg
from tests.core.models import CLASSES, FEATURES, gcn, graph

ROUNDS, SEED = 2, 5
SHORT = {"local": {"epochs": 3}, "distil": {"epochs": 4}}
RUNS = ("fedavg", "fedmd")  # of one architecture, of two
PARTS = (torch.arange(10, 19), torch.arange(19, 30))


def method(name: str) -> Method:
    return fedftg(CLASSES, rows=8, steps=2) if name == "fedftg" else METHODS[name]()


def models(mixed: bool) -> list[nn.Module]:
    """Two clients' models: with dropout, so that a generator's state matters."""
    torch.manual_seed(3)
    mlp = MLP([FEATURES, 5, CLASSES], norm="batch_norm", dropout=0.3)
    return [gcn(0, dropout=0.5), mlp if mixed else gcn(1, dropout=0.5)]


def part(rows: torch.Tensor):
    data = graph().subgraph(rows)
    data.train_mask[:] = True
    return data


def clients(mixed: bool) -> list[Client]:
    return [Client(model, part(rows)) for model, rows in zip(models(mixed), PARTS, strict=True)]


def public():
    return part(torch.arange(10))


def federation(name: str, mixed: bool) -> Federation:
    """The sequential runner."""
    return Federation(method(name), clients(mixed), public(), gcn(5), seed=SEED, **SHORT)


def participant(name: str, mixed: bool, who: int) -> Participant:
    return Participant(who, clients(mixed)[who], method(name), public(), seed=SEED, **SHORT)


def serving(name: str, mixed: bool) -> Server:
    sent = models(mixed) if method(name).sends == "weights" else ()
    return Server(method(name), sent, public(), gcn(5), distil=SHORT["distil"], seed=SEED)


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
