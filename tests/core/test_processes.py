"""Two processes end with what one would have found on their rows together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import pytest
import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader, DistributedSampler

from graphkd import Distiller, fit, load
from graphkd.core.processes import gather_objects, gather_rows, place, share
from graphkd.losses import CE, GCRD, LSP, gcrd
from tests.core import two_processes as two
from tests.core.models import gcn, graph

ROOT = Path(__file__).parents[2]
ONE = Fabric(accelerator="cpu", devices=1, precision="64-true")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two gloo processes wrote."""
    folder = tmp_path_factory.mktemp("processes")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    quiet = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, "-m", "tests.core.two_processes", str(folder)],
        cwd=ROOT,
        env=quiet,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return [load(folder / f"{rank}.pt") for rank in (0, 1)]


def near(got, want, *, rel=1e-9):
    assert got.keys() == want.keys()
    for name, value in want.items():  # a bias before batch norm has no gradient but rounding errors
        assert (got[name] - value).abs().max() <= rel * value.abs().max() + 1e-14, name


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


# ---------------------------------------------------------------- rows
def test_gathered_rows_are_in_the_order_of_ranks_and_gradients_are_summed(found):
    for rank, rows in ((0, slice(3)), (1, slice(3, 8))):
        got = found[rank]["gathered"]
        assert got["whole"].flatten().tolist() == [1, 2, 3, 1, 2, 3, 4, 5]
        assert got["grad"].flatten().tolist() == [3.0 * weight for weight in range(1, 9)[rows]]  # 1 and 2 times
        assert got["few"].tolist() == [0, 1]
        assert got["mask"].tolist() == [True, True, False]
        assert got["halves"].tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("name", two.LOSSES)
def test_gradients_are_those_of_one_process_with_all_rows(found, name):
    loss, gradients = two.loss_and_gradients(name, torch.arange(30))
    assert max(float(gradient.abs().max()) for gradient in gradients.values()) > 1e-4
    for rank in (0, 1):
        near(found[rank]["gradients"][name][1], gradients)
    assert fmean(float(found[rank]["gradients"][name][0]) for rank in (0, 1)) == pytest.approx(float(loss), rel=1e-12)


@pytest.mark.parametrize("name", ["gcrd_masked", "sum"])
def test_a_process_may_have_no_row_that_a_loss_chooses(found, name):
    _, gradients = two.loss_and_gradients(name, torch.tensor([1, 2, 4, 5, 0, 3, 6]))
    for rank in (0, 1):
        near(found[rank]["masked"][name][1], gradients)


def test_without_gathering_contrast_differs(found):
    apart = [two.loss_and_gradients("gcrd", rows)[1] for rows in torch.arange(30).split(list(two.ROWS))]
    mean = {name: (apart[0][name] + apart[1][name]) / 2 for name in apart[0]}
    with pytest.raises(AssertionError):
        near(found[0]["gradients"]["gcrd"][1], mean, rel=1e-2)


# ---------------------------------------------------------------- fit
@pytest.mark.parametrize("name", ["sum", "kl"])
def test_fit_ends_with_the_weights_of_one_process_with_batches_twice_as_large(found, name):
    want = two.fitted(name, list(torch.arange(24).split(12)), ONE)
    for rank in (0, 1):
        near(found[rank]["fitted"][name]["weights"], want["weights"], rel=1e-7)
    assert found[0]["fitted"][name]["logged"] == [pytest.approx(report, rel=1e-6) for report in want["logged"]]
    assert found[1]["fitted"][name]["logged"] == []  # the first process alone logs


def test_a_last_round_is_filled_up_from_the_first(found):
    rounds = [torch.arange(12), torch.arange(12, 24), torch.cat([torch.arange(24, 30), torch.arange(6)])]
    near(found[0]["filled_up"]["weights"], two.fitted("kl", rounds, ONE)["weights"], rel=1e-7)


def test_processes_share_the_batches_of_a_loader(found):
    epochs = [[found[rank]["whole"]["nodes"][2 * epoch : 2 * epoch + 2] for rank in (0, 1)] for epoch in range(4)]
    for one, other in epochs:
        rounds = torch.stack([*one, *other])  # 4 times 10 of 30 nodes: the last one again the first
        assert torch.equal(rounds[0], rounds[3])
        assert sorted(rounds[:3].flatten().tolist()) == list(range(30))
    assert not torch.equal(epochs[0][0][0], epochs[1][0][0])


def test_processes_end_alike_and_the_mean_of_their_metrics_counts(found):
    one, other = (found[rank]["whole"] for rank in (0, 1))
    assert same(one["weights"], other["weights"])  # the running means of batch norm, too
    metrics = [report["metric"] for report in one["logged"]]
    assert max(metrics) == pytest.approx(float(one["weights"]["1.running_mean"].sum()) + 0.5)  # rank 0 and rank 1


def test_one_process_writes_the_checkpoints(found, folder):
    assert sorted(file.name for file in (folder / "of_0").iterdir()) == ["best.pt", "last.old.pt", "last.pt"]
    assert not (folder / "of_1").exists()
    assert same(load(folder / "of_0" / "best.pt"), found[1]["whole"]["weights"])


def test_resume_ends_with_the_same_bits(found):
    for rank in (0, 1):
        assert same(found[rank]["resumed"]["weights"], found[rank]["whole"]["weights"])


def test_a_loss_that_diverges_in_one_process_stops_all(found):
    assert all("the loss must stay finite, got at epoch 1" in found[rank]["not_finite"] for rank in (0, 1))


def test_what_stops_the_first_process_stops_all(found):
    assert all("'checkpoint' must be a folder that can be written" in found[rank]["in_the_way"] for rank in (0, 1))


# ---------------------------------------------------------------- in one process
def test_one_process_gathers_itself():
    rows = torch.ones(2, 1)
    assert gather_rows(rows) is rows
    assert gather_objects("it") == ["it"]
    assert place() == (0, 1)
    data, plain, gathered = graph(), GCRD(3, 3, 4), GCRD(3, 3, 4).gathered()
    gathered.load_state_dict(plain.state_dict())
    steps = [Distiller(gcn(1), gcn(2), loss.train(), taps={"hidden": "convs.1"})(data) for loss in (plain, gathered)]
    assert torch.equal(steps[0].loss, steps[1].loss)


def test_the_shares_of_contrast_have_the_loss_as_mean():
    torch.manual_seed(0)
    student, teacher = torch.randn(7, 3, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)
    parts = [float(gcrd(student, teacher, share=(k, 3))) for k in range(3)]
    assert fmean(parts) == pytest.approx(float(gcrd(student, teacher)), rel=1e-12)
    assert len(set(parts)) == 3


def test_what_cannot_be_gathered_is_named():
    with pytest.raises(ValueError, match=r"gathered\(\) joins rows, but LSP also reads \['edge_index'\]"):
        LSP().gathered()
    with pytest.raises(ValueError, match=r"GCRD\(graph=True\) convolves one batch's graph"):
        GCRD(3, 5, graph=True).gathered()


def rounds(data, **options):
    return [list(share(data, rank, 3, seed=0, **options)(0)) for rank in range(3)]


def test_shares_of_any_iterable():
    assert rounds(range(9)) == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert rounds(range(7)) == [[0, 3, 6], [1, 4, 0], [2, 5, 1]]
    assert rounds([5]) == [[5], [5], [5]]
    assert rounds([]) == [[], [], []]
    assert list(share(iter("ab"), 0, 1, seed=0)(0)) == ["a", "b"]


@pytest.mark.parametrize("workers", [0, 1])
def test_shares_of_a_loader_are_collated_alone_and_differ_by_epoch(workers):
    rows = list(range(10))
    loader = DataLoader(rows, batch_size=2, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    state = torch.get_rng_state()
    epochs = [[share(loader, rank, 2, seed=4)(epoch) for rank in (0, 1)] for epoch in (0, 1)]
    assert [len(one) for one in epochs[0]] == [3, 3]
    values = [torch.stack([*one, *other]) for one, other in epochs]
    assert all(set(value.flatten().tolist()) == set(rows) for value in values)
    assert not torch.equal(*values)
    again = torch.stack([batch for rank in (0, 1) for batch in share(loader, rank, 2, seed=4)(1)])
    assert torch.equal(again, values[1])
    torch.set_rng_state(state)
    assert len(list(loader)) == 5  # the loader itself is as it was


def test_a_loader_that_is_divided_already_is_taken_as_it_is():
    rows = list(range(8))
    sampler = DistributedSampler(rows, num_replicas=2, rank=1, shuffle=True)
    loader = DataLoader(rows, batch_size=2, sampler=sampler)
    batches = share(loader, 1, 2, seed=0)
    one, other = (torch.stack(list(batches(epoch))) for epoch in (0, 1))
    assert one.numel() == 4
    assert not torch.equal(one, other)  # its sampler is told the epoch
    own = ONE.setup_dataloaders(DataLoader(rows, batch_size=2))
    assert len(list(share(own, 1, 2, seed=0)(0))) == 4


def test_under_torchrun_all_processes_are_the_default(monkeypatch):
    seen = {}

    class Told(Exception):  # noqa: N818
        pass

    def fabric(**options):
        seen.update(options)
        raise Told

    monkeypatch.setattr("lightning_fabric.Fabric", fabric)
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Told):
        fit(Distiller(gcn(1), losses=CE()), graph(), epochs=1)
    assert seen == {"devices": 4, "num_nodes": 2}


# ---------------------------------------------------------------- distil
def test_a_run_is_one_run_in_two_processes(found, folder):
    """What is made once is the first's, the first alone writes, and a resumed run is read by all."""
    one, other = (rank["distilled"] for rank in found)
    assert same(one["weights"], other["weights"])
    assert same(one["weights"], one["again"])
    assert same(one["weights"], other["again"])
    assert (one["made"], other["made"]) == (1, 0)
    assert load(folder / "run" / "once" / "chosen.pt").tolist() == [0, 7]
