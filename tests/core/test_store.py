from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphkd import Cached, Frozen
from graphkd.core import store as module
from graphkd.core.store import Store, write
from tests.core.models import gcn, graph

FILES = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool]
STORED = [None, torch.float16, torch.bfloat16, torch.float32]
KEY = {"teacher": "t", "graph": "g", "taps": {}}


@st.composite
def views(draw):
    rows = draw(st.integers(0, 6))
    entries = draw(st.lists(st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=2)), min_size=1))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 9)))
    made = [(torch.randn(rows, *tail, generator=generator) * 9).to(dtype) for dtype, tail in entries[:3]]
    return {f"entry {number}": tensor for number, tensor in enumerate(made)}


def small(folder: Path) -> Path:
    """A store of a few hundred bytes."""
    write(folder, [(None, {"logits": torch.arange(12.0).view(6, 2), "lists": torch.arange(6)})], KEY, torch.float16)
    return folder


def whole_bytes(folder: Path) -> list[tuple[Path, int]]:
    return [(file, position) for file in sorted(folder.iterdir()) for position in range(file.stat().st_size)]


# ------------------------------------------------------------- what is written is read
@FILES
@given(view=views(), dtype=st.sampled_from(STORED), step=st.integers(1, 4), block=st.integers(1, 8), data=st.data())
def test_what_is_written_in_parts_is_read_by_row(tmp_path, view, dtype, step, block, data):
    count = len(next(iter(view.values())))
    order = torch.tensor(data.draw(st.permutations(range(count))), dtype=torch.long)
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_BLOCK", block)
        parts = [(ids, {name: tensor[ids] for name, tensor in view.items()}) for ids in order.split(step)]
        write(tmp_path / "store", parts or [(None, view)], KEY, dtype)
    store, ids = Store(tmp_path / "store"), torch.tensor(data.draw(st.lists(st.integers(0, max(count - 1, 0)))))
    ids = ids.long() if count else torch.zeros(0, dtype=torch.long)
    assert store.key == KEY
    for name, tensor in view.items():
        floating = tensor.is_floating_point() and dtype is not None
        want = tensor.to(dtype).to(tensor.dtype) if floating else tensor
        assert store.whole()[name].dtype == want.dtype
        assert torch.equal(store.whole()[name], want)
        assert torch.equal(store.rows(ids)[name], want[ids])


def test_a_store_is_arrays_and_a_manifest_and_is_memory_mapped(tmp_path):
    folder = small(tmp_path / "new" / "store")
    assert sorted(file.name for file in folder.iterdir()) == ["0.npy", "1.npy", "manifest.json"]
    assert [file.name for file in folder.parent.iterdir()] == ["store"]
    assert np.load(folder / "0.npy", allow_pickle=False).dtype == np.float16
    assert json.loads((folder / "manifest.json").read_text())["key"] == KEY
    store = Store(folder)
    assert all(isinstance(array, np.memmap) for array in store._arrays.values())
    assert copy.deepcopy(store) is store


def test_of_a_row_that_comes_twice_the_latest_stays(tmp_path):
    parts = [(torch.tensor([0, 1]), {"x": torch.zeros(2)}), (torch.tensor([1]), {"x": torch.ones(1)})]
    write(tmp_path / "store", parts, KEY)
    assert Store(tmp_path / "store").whole()["x"].tolist() == [0, 1]


# ------------------------------------------------------------- what is damaged is refused
def test_a_store_truncated_at_any_byte_is_refused(tmp_path):
    folder = small(tmp_path / "store")
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        for position in reversed(range(len(content))):
            os.truncate(file, position)
            with pytest.raises(ValueError, match=rf"store' is damaged: {file.name}.* is not what was written; remove"):
                Store(folder)
        file.write_bytes(content)
    assert Store(folder).key == KEY


@FILES
@given(view=views(), dtype=st.sampled_from(STORED), where=st.floats(0, 1, exclude_max=True))
def test_any_store_truncated_anywhere_is_refused(tmp_path, view, dtype, where):
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    write(tmp_path / "store", [(None, view)], KEY, dtype)
    places = whole_bytes(tmp_path / "store")
    file, position = places[int(where * len(places))]
    file.write_bytes(file.read_bytes()[:position])
    with pytest.raises(ValueError, match=rf"is damaged: {file.name}"):
        Store(tmp_path / "store")


@FILES
@given(view=views(), dtype=st.sampled_from(STORED), where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_store_with_any_byte_flipped_is_refused(tmp_path, view, dtype, where, flip):
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    write(tmp_path / "store", [(None, view)], KEY, dtype)
    places = whole_bytes(tmp_path / "store")
    file, position = places[int(where * len(places))]
    content = bytearray(file.read_bytes())
    content[position] ^= flip
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"is damaged: {file.name}"):
        Store(tmp_path / "store")


@pytest.mark.parametrize("name", ["0.npy", "1.npy", "manifest.json"])
def test_a_store_without_one_of_its_files_or_with_more_in_it_is_refused(tmp_path, name):
    folder = small(tmp_path / "store")
    with (folder / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(ValueError, match=rf"is damaged: {name}"):
        Store(folder)
    (folder / name).unlink()
    with pytest.raises(ValueError, match="damaged" if name != "manifest.json" else "must be a folder with a manifest"):
        Store(folder)


def test_a_manifest_of_another_form_is_refused(tmp_path):
    folder = small(tmp_path / "store")
    content = json.loads((folder / "manifest.json").read_text())
    del content["seal"]
    (folder / "manifest.json").write_bytes(module._sealed({**content, "format": "graphkd store 9"}))
    with pytest.raises(ValueError, match="must be a 'graphkd store 1', got 'graphkd store 9'"):
        Store(folder)
    for other in (b"[]", b"null", b"\xff", b"[" * 100_000, b'{"seal": 1}'):
        (folder / "manifest.json").write_bytes(other)
        with pytest.raises(ValueError, match=r"is damaged: manifest.json"):
            Store(folder)


def test_rows_out_of_range_are_named(tmp_path):
    store = Store(small(tmp_path / "store"))
    for ids in ([0, 6], [-1, 2]):
        with pytest.raises(
            ValueError, match=rf"'n_id' must be from 0 to 5, the rows of 'logits'.*{ids[0]} to {ids[1]}"
        ):
            store.rows(torch.tensor(ids))


# ------------------------------------------------------------- what cannot be stored is refused and leaves nothing
@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            [(None, {"x": torch.tensor([1.0, 7e4])})],
            r"'x' must be finite as float16, which ends at 65504, got .* to 70000",
        ),
        ([(None, {"x": torch.tensor([1.0, float("nan")])})], "'x' must be finite as float16"),
        ([(None, {"x": torch.tensor(1.0)})], "'x' must have a row a node to be stored, got a scalar"),
        ([(torch.tensor([3, 1]), {"x": torch.ones(2)})], r"no row of 'x' for 2 of 4: \[0, 2\]…; a loader"),
        (
            [(torch.tensor([0]), {"x": torch.ones(1, 2)}), (torch.tensor([1]), {"x": torch.ones(1, 3)})],
            r"'x' must have rows of \(2,\) and torch.float32 in every batch, got \(3,\)",
        ),
    ],
)
def test_what_cannot_be_stored_is_named_and_leaves_nothing(tmp_path, parts, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "store", parts, KEY, torch.float16)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(tmp_path):
    def parts():
        yield torch.tensor([0]), {"x": torch.ones(1)}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "store", parts(), KEY)
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import os, signal, sys
from graphkd import Cached
from tests.core.models import gcn, graph
from torch_geometric.loader import RandomNodeLoader
data = graph()
data.n_id = data.train_mask.new_ones(30).nonzero()[:, 0]
calls = []
def call(model, batch):
    calls.append(batch)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return model(batch.x, batch.edge_index)
Cached(gcn(1), RandomNodeLoader(data, 5), call=call, path=sys.argv[1])(data)
"""


def test_a_process_killed_while_it_writes_leaves_no_store(tmp_path):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "store")]
    assert subprocess.run(command, cwd=root, check=False).returncode == -signal.SIGKILL
    left = list(tmp_path.iterdir())
    assert [path.name.startswith(".store.") for path in left] == [True]  # half a store, hidden, without a manifest
    assert not (left[0] / "manifest.json").exists()
    teacher, data = gcn(1), graph()
    assert torch.equal(Cached(teacher, data, path=tmp_path / "store")(data)["logits"], Frozen(teacher)(data)["logits"])


def test_of_two_that_write_at_once_the_first_to_finish_stays(tmp_path):
    def parts():
        yield None, {"x": torch.zeros(2)}
        write(tmp_path / "store", [(None, {"x": torch.ones(2)})], KEY)

    write(tmp_path / "store", parts(), KEY)
    assert Store(tmp_path / "store").whole()["x"].tolist() == [1, 1]
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_what_is_no_store_is_not_touched(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(ValueError, match=r"must be a folder with a manifest.json, as a Cached teacher writes it"):
            Cached(gcn(1), path=path)(graph())
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"notes.txt": "mine", "file": "mine"}
