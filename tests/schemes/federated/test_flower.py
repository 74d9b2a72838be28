"""Flower's processes and apps end with the bits of the sequential runner."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from graphkd.schemes.federated import flower as on_flower  # before Flower itself, whose telemetry it ends
from tests.schemes.federated import flower_process as case

# isort: split
from flwr.app import Context, RecordDict
from flwr.common.typing import Parameters
from flwr.serverapp import Grid
from flwr.supercore import telemetry
from flwr.supercore.run import Run

ROOT = Path(__file__).parents[3]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow  # three processes, each of which imports torch and Flower
def test_two_client_processes_end_as_the_sequential_runner(tmp_path):
    ports = ",".join(map(str, free_ports(len(case.RUNS))))
    command = [sys.executable, "-m", "tests.schemes.federated.flower_process"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "FLWR_HOME": str(tmp_path / "home")}
    processes = []
    try:
        for role in ("server", "0", "1"):
            with (tmp_path / f"{role}.log").open("w") as log:
                arguments = [*command, role, ports, str(tmp_path)]
                processes.append(subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=log, stderr=log))
        codes = [process.wait(timeout=600) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert codes == [0, 0, 0], "\n".join(path.read_text()[-2000:] for path in tmp_path.glob("*.log"))
    for name in case.RUNS:
        for who, model in enumerate(case.sequential(name, mixed=name == "fedmd")):
            same(torch.load(tmp_path / f"{name}.{who}.pt"), model.state_dict())
        ((number, loss),) = torch.load(tmp_path / f"{name}.history.pt")
        assert number == case.ROUNDS
        assert 0 < loss < 10


class Loopback(Grid):
    """Flower's way from a server app to client apps, without a network: one message at a time."""

    def __init__(self, apps, run):
        self.apps, self.lock, self.current = apps, threading.Lock(), run
        self.contexts = [Context(run.run_id, who, {}, RecordDict(), {}) for who in range(len(apps))]

    def set_run(self, run):
        self.current = run

    @property
    def run(self):
        return self.current

    def get_node_ids(self):
        return range(len(self.apps))

    def create_message(self, *arguments, **options):
        raise NotImplementedError

    push_messages = pull_messages = create_message

    def send_and_receive(self, messages, *, timeout=None):
        replies = []
        for message in messages:
            who = message.metadata.dst_node_id
            message.metadata.__dict__["_message_id"] = "1"
            with self.lock:
                replies.append(self.apps[who](message, self.contexts[who]))
        return replies


@pytest.mark.parametrize("name", ["fedavg", "feddf", "fedaux", "fedbe", "fedgkd", "fedssd", "fedftg", "fedmd", "cfd"])
def test_apps_started_anew_for_every_message_end_as_the_sequential_runner(name):
    mixed = name in {"feddf", "fedaux", "fedmd", "cfd"}
    latest = {}

    def made(who):
        def participant(_):
            latest[who] = case.participant(name, mixed, who)
            return latest[who]

        return on_flower.client_app(participant)

    grid = Loopback([made(0), made(1)], Run.create_empty(1))
    strategy = on_flower.FlowerStrategy(case.serving(name, mixed), 2, case.ROUNDS)
    on_flower.server_app(lambda _: strategy)(grid, Context(1, 0, {}, RecordDict(), {}))
    if name == "cfd":
        same(strategy.server.model.state_dict(), case.result(name, mixed).state_dict())
        return
    for who, model in enumerate(case.sequential(name, mixed)):
        same(latest[who].client.model.state_dict(), model.state_dict())


def test_messages_are_safetensors():
    message = {"a": torch.arange(6).reshape(2, 3).t(), "b": torch.tensor(1.5, dtype=torch.bfloat16)}
    same(on_flower.unpack(on_flower.pack(message)), message)
    assert on_flower.unpack(on_flower.pack({})) == {}
    with pytest.raises(ValueError, match=r"one entry of type 'safetensors', got 1 of type 'numpy\.ndarray'"):
        on_flower.unpack(Parameters([b""], "numpy.ndarray"))


def test_what_does_not_fit_is_told():
    server = case.serving("fedavg", mixed=False)
    with pytest.raises(ValueError, match="'clients' must be 2 and 'rounds' at least 1, got 3, 1"):
        on_flower.FlowerStrategy(server, 3, 1)
    strategy = on_flower.FlowerStrategy(server, 2, 1)
    with pytest.raises(ValueError, match="'messages' must be one of each of 2 clients, got 0"):
        strategy.aggregate_fit(1, [], [ValueError("lost")])


def test_telemetry_is_off():
    assert telemetry.FLWR_TELEMETRY_ENABLED == "0"


def test_importing_the_schemes_leaves_flower_alone():
    code = "import sys, graphkd.schemes.federated; sys.exit('flwr' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_without_flower_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "flwr", None)
    monkeypatch.delitem(sys.modules, "graphkd.schemes.federated.flower")
    with pytest.raises(ImportError, match=r'need flwr: pip install "graphkd\[federated\]"'):
        import graphkd.schemes.federated.flower  # noqa: F401
