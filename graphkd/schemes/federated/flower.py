"""Both sides in processes of their own, on any machines, by Flower (Beutel et al., 2020, arXiv:2007.14390).

``FlowerStrategy`` wraps a ``Server``, ``client_fn`` a ``Participant``; all steps are theirs, so a run gives the result
of ``graphkd.distil`` for the same seed. Messages are safetensors: nothing that is received is unpickled.

The server's process, then each client's::

    strategy = FlowerStrategy(Server(fedmd.rule(), public=public, distil={"epochs": 200}), clients=2, rounds=10)
    start_server(server_address="127.0.0.1:8080", config=strategy.config, strategy=strategy)

    local, distil = {"epochs": 40}, {"epochs": 200}
    mine = Participant(0, Client(model, data), fedmd.rule(), public, local=local, distil=distil)
    start_client(server_address="127.0.0.1:8080", client_fn=client_fn(lambda _: mine))

Start the server first. ``flwr.server.start_server`` and ``flwr.client.start_client`` need one port, no files and no
more processes than there are participants, so our tests use them, though Flower calls them deprecated. Under a
SuperLink, which needs an app bundle and starts a process for every message, ``server_app`` and ``client_app`` take the
same strategy and clients; a client's state is stored in Flower's context from round to round.

Needs Flower, ``pip install "graphkd[federated]"``. Its telemetry is off, unless FLWR_TELEMETRY_ENABLED says otherwise.
"""

# ruff: noqa: ARG002 - the signatures are Flower's

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from statistics import fmean
from typing import Any

import torch

from graphkd.core.batches import batches
from graphkd.core.distiller import Distiller
from graphkd.core.modes import evaluating
from graphkd.core.rng import seeded
from graphkd.schemes.federated._checks import named
from graphkd.schemes.federated._messages import Message
from graphkd.schemes.federated.client import Client
from graphkd.schemes.federated.participant import Participant
from graphkd.schemes.federated.server import Server

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")  # Flower reads it when it is imported
try:
    from flwr import client as flwr_client
    from flwr.app import ConfigRecord, Context, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.common import typing as flwr_types
    from flwr.server import ClientManager, ServerAppComponents, ServerConfig
    from flwr.server.client_proxy import ClientProxy
    from flwr.server.strategy import Strategy
    from flwr.serverapp import ServerApp
    from safetensors import SafetensorError
    from safetensors.torch import load, save
except ModuleNotFoundError as error:
    raise ImportError('federated clients on Flower need flwr: pip install "graphkd[federated]"') from error

_log = logging.getLogger(__name__)
_FORMAT = "safetensors"
_STATE = "graphkd"  # the entry of a client's context
_OK = flwr_types.Status(flwr_types.Code.OK, "")


def pack(message: Message) -> flwr_types.Parameters:
    """Pack a message as Flower carries it: one entry, in the safetensors format."""
    return flwr_types.Parameters([_dump(message)], _FORMAT)


def unpack(parameters: flwr_types.Parameters) -> Message:
    """Read the message in Flower's parameters; ValueError where they are of another format."""
    if parameters.tensor_type != _FORMAT or len(parameters.tensors) != 1:
        found = f"{len(parameters.tensors)} of type {parameters.tensor_type!r}"
        raise ValueError(f"'parameters' must be one entry of type {_FORMAT!r}, got {found}")
    return load(parameters.tensors[0])


def _receipt(result: flwr_types.EvaluateRes) -> Message:
    """Make a message of a client's loss and its number of examples."""
    if type(result.num_examples) is not int:
        raise ValueError(f"'num_examples' must be an integer, got {result.num_examples!r}")
    return {"loss": torch.tensor(result.loss, dtype=torch.float64), "size": torch.tensor(result.num_examples)}


def _dump(message: Message) -> bytes:
    return save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in message.items()})


class FlowerStrategy(Strategy):
    """A ``Server`` as a Flower strategy: ``rounds`` rounds among ``clients`` participants, numbered from 0.

    It waits ``timeout`` seconds for them to connect. All must answer in every round, since with fewer it would be
    another method, unless the server has ``min_clients``: then a round goes on without clients that fail, leave or send
    invalid messages (see ``Server``), and the log names them; with fewer valid messages than that the run ends with
    ValueError. Clients receive the last broadcast with Flower's evaluation after the last round; its history has the
    mean cross-entropy on their own labelled rows. See docs/guides/federated.md for TLS and for what a malicious client
    can still do.
    """

    def __init__(self, server: Server, clients: int, rounds: int, *, timeout: int = 600) -> None:
        for name, value in (("clients", clients), ("rounds", rounds)):
            if type(value) is not int:
                raise ValueError(f"{name!r} must be an integer, got {value!r}")
        expected = len(server.kind_of) or clients
        if clients != expected or clients < 1 or rounds < 1:
            raise ValueError(f"'clients' must be {max(expected, 1)} and 'rounds' at least 1, got {clients}, {rounds}")
        self.server, self.clients, self.rounds, self.timeout = server, clients, rounds, timeout
        self.order: list[ClientProxy] = []

    @property
    def config(self) -> ServerConfig:
        """Return the configuration for ``start_server``."""
        return ServerConfig(num_rounds=self.rounds)

    def initialize_parameters(self, client_manager: ClientManager) -> flwr_types.Parameters:
        """Wait for all clients and request their numbers; the server's weights are sent round by round."""
        client_manager.num_available()  # under a SuperLink this lets it see who is there; else 5 seconds pass
        if not client_manager.wait_for(self.clients, self.timeout):
            raise RuntimeError(f"{self.clients} clients were waited for, {client_manager.num_available()} came")
        proxies = list(client_manager.all().values())
        ask = flwr_types.GetPropertiesIns({})
        numbers = [p.get_properties(ask, self.timeout, 0).properties.get("who") for p in proxies]
        if any(type(number) is not int for number in numbers) or sorted(numbers) != list(range(self.clients)):
            raise ValueError(
                f"clients must be numbered 0 to {self.clients - 1} by integers, each once, got {numbers}: give each "
                "Participant a 'who' of its own"
            )
        self.order = [proxies[numbers.index(who)] for who in range(self.clients)]
        self.server.begin()
        return pack({})

    def configure_fit(
        self, server_round: int, parameters: flwr_types.Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, flwr_types.FitIns]]:
        """Send every client the server's message for it."""
        return self._told(flwr_types.FitIns, server_round - 1)

    def _told(self, kind: Callable[[Any, Any], Any], number: int) -> list[tuple[ClientProxy, Any]]:
        told = {"number": number}
        return [(proxy, kind(pack(self.server.broadcast(who)), told)) for who, proxy in enumerate(self.order)]

    def _by_client(
        self, results: list[tuple[ClientProxy, Any]], failures: list[Any], read: Callable[[Any], Message]
    ) -> list[Message | None]:
        """Read each client's message; None for one that did not answer, or whose answer cannot be read."""
        for failure in failures:
            _log.warning("a client did not answer: %s", failure)
        answers = {proxy.cid: result for proxy, result in results}
        found: list[Message | None] = []
        for who, proxy in enumerate(self.order):
            try:
                found.append(read(answers[proxy.cid]) if proxy.cid in answers else None)
            except (ValueError, SafetensorError) as error:
                _log.warning("%s sent what cannot be read: %s", named(who), error)
                found.append(None)
        return found

    def aggregate_fit(
        self, server_round: int, results: list[tuple[ClientProxy, flwr_types.FitRes]], failures: list[Any]
    ) -> tuple[flwr_types.Parameters, dict[str, Any]]:
        """Give the server the clients' messages."""
        self.server.serve(server_round - 1, self._by_client(results, failures, lambda got: unpack(got.parameters)))
        return pack({}), {}

    def configure_evaluate(
        self, server_round: int, parameters: flwr_types.Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, flwr_types.EvaluateIns]]:
        """Send every client the last broadcast, after the last round."""
        return self._told(flwr_types.EvaluateIns, server_round) if server_round == self.rounds else []

    def aggregate_evaluate(
        self, server_round: int, results: list[tuple[ClientProxy, flwr_types.EvaluateRes]], failures: list[Any]
    ) -> tuple[float | None, dict[str, Any]]:
        """Compute the mean loss, each client's weighted by its number of rows."""
        if server_round < self.rounds:
            return None, {}
        return self.server.mean_loss(server_round, self._by_client(results, failures, _receipt)), {}

    def evaluate(self, server_round: int, parameters: flwr_types.Parameters) -> None:
        """Do nothing: the server has no data of its own to evaluate on."""


class FlowerClient(flwr_client.Client):
    """A ``Participant`` as a Flower client, whose state is stored in the ``state`` of Flower's context."""

    def __init__(self, participant: Participant, state: RecordDict) -> None:
        self.participant, self.remembered = participant, state
        if _STATE in state:
            participant.load_state_dict(load(state[_STATE]["state"]))

    def _receive(self, ins: flwr_types.FitIns | flwr_types.EvaluateIns, *, learn: bool) -> None:
        number = ins.config["number"]
        if type(number) is not int:
            raise ValueError(f"the server must send the number of the round as an integer, got {number!r}")
        self.participant.receive(number, unpack(ins.parameters))
        if learn:
            self.participant.learn(number)

    def _remember(self) -> None:
        self.remembered[_STATE] = ConfigRecord({"state": _dump(self.participant.state_dict())})

    def get_properties(self, ins: flwr_types.GetPropertiesIns) -> flwr_types.GetPropertiesRes:
        """Return the participant's number."""
        return flwr_types.GetPropertiesRes(_OK, {"who": self.participant.who})

    def fit(self, ins: flwr_types.FitIns) -> flwr_types.FitRes:
        """Receive, learn, send."""
        self._receive(ins, learn=True)
        sent = pack(self.participant.send())
        self._remember()
        return flwr_types.FitRes(_OK, sent, self.participant.client.size, {})

    def evaluate(self, ins: flwr_types.EvaluateIns) -> flwr_types.EvaluateRes:
        """Receive the last broadcast, and return the client's loss."""
        self._receive(ins, learn=self.participant.rule.revisits)
        self._remember()
        return flwr_types.EvaluateRes(_OK, _loss(self.participant.client), self.participant.client.size, {})


@torch.no_grad()
def _loss(client: Client) -> float:
    """Compute the mean loss of a client's labelled rows; for a loader the mean over its batches."""
    distiller = Distiller(client.model, losses=client.task.supervised(), call=client.call)
    with seeded(0), evaluating(distiller):
        return fmean(float(distiller(batch).loss) for batch in batches(client.data))


def client_fn(participant: Callable[[Context], Participant]) -> Callable[[Context], flwr_client.Client]:
    """Make the function that Flower calls for every message; ``participant`` may return a new or the same one."""
    return lambda context: FlowerClient(participant(context), context.state)


def client_app(participant: Callable[[Context], Participant]) -> ClientApp:
    """Make a client for Flower's SuperNode."""
    return ClientApp(client_fn=client_fn(participant))


def server_app(strategy: Callable[[Context], FlowerStrategy]) -> ServerApp:
    """Make a server for Flower's SuperLink."""

    def made(context: Context) -> ServerAppComponents:
        found = strategy(context)
        return ServerAppComponents(strategy=found, config=found.config)

    return ServerApp(server_fn=made)
