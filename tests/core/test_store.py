from __future__ import annotations

import copy
import errno
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
from graphkd.core import store, store_writer
from graphkd.core.store import Store
from graphkd.core.store_writer import write
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
        for module in (store, store_writer):
            patched.setattr(module, "BLOCK", block)
        parts = [(ids, {name: tensor[ids] for name, tensor in view.items()}) for ids in order.split(step)]
        write(tmp_path / "store", parts or [(None, view)], KEY, dtype)
    found, ids = Store(tmp_path / "store"), torch.tensor(data.draw(st.lists(st.integers(0, max(count - 1, 0)))))
    ids = ids.long() if count else torch.zeros(0, dtype=torch.long)
    assert found.key == KEY
    for name, tensor in view.items():
        floating = tensor.is_floating_point() and dtype is not None
        want = tensor.to(dtype).to(tensor.dtype) if floating else tensor
        assert found.whole()[name].dtype == want.dtype
        assert torch.equal(found.whole()[name], want)
        assert torch.equal(found.rows(ids)[name], want[ids])


def test_a_store_is_arrays_and_a_manifest_and_is_memory_mapped(tmp_path):
    folder = small(tmp_path / "new" / "store")
    assert sorted(file.name for file in folder.iterdir()) == ["0.npy", "1.npy", "manifest.json"]
    assert [file.name for file in folder.parent.iterdir()] == ["store"]
    assert np.load(folder / "0.npy", allow_pickle=False).dtype == np.float16
    assert json.loads((folder / "manifest.json").read_text())["key"] == KEY
    opened = Store(folder)
    assert all(isinstance(array, np.memmap) for array in opened._arrays.values())
    assert copy.deepcopy(opened) is opened


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
    (folder / "manifest.json").write_bytes(store.sealed({**content, "format": "graphkd store 9"}))
    with pytest.raises(ValueError, match="must be a 'graphkd store 2', got 'graphkd store 9'"):
        Store(folder)
    for other in (b"[]", b"null", b"\xff", b"[" * 100_000, b'{"seal": 1}'):
        (folder / "manifest.json").write_bytes(other)
        with pytest.raises(ValueError, match=r"is damaged: manifest.json"):
            Store(folder)


def resealed(folder: Path, arrays: dict[int, np.ndarray]) -> None:
    """Put other arrays into a store, and checksums of them."""
    content = json.loads((folder / "manifest.json").read_text())
    del content["seal"]
    for number, array in arrays.items():
        np.save(folder / f"{number}.npy", array)
        content["entries"][number][-1] = store.file_checksum(folder / f"{number}.npy")
    (folder / "manifest.json").write_bytes(store.sealed(content))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({0: np.full((6, 2), np.nan, np.float16)}, "'logits' must be finite, and is not"),
        ({0: np.full((6, 2), np.inf, np.float16)}, "'logits' must be finite, and is not"),
        ({0: np.zeros((6, 2), np.float32)}, r"'logits' must hold 6 rows as float16, got \(6, 2\) as float32"),
        ({1: np.zeros(5, np.int64)}, r"'lists' must hold 6 rows as int64, got \(5,\) as int64"),
        ({1: np.zeros((), np.int64)}, r"'lists' must hold 6 rows as int64, got \(\) as int64"),
    ],
)
def test_arrays_that_no_teacher_showed_are_refused(tmp_path, arrays, message):
    folder = small(tmp_path / "store")
    resealed(folder, arrays)
    with pytest.raises(ValueError, match=f"is damaged: {message}; remove the folder"):
        Store(folder)


def test_a_file_that_is_written_to_while_it_is_open_is_noticed_and_one_that_is_replaced_stays(tmp_path):
    folder = small(tmp_path / "store")
    opened, ids = Store(folder), torch.tensor([1, 2])
    want = opened.rows(ids)["logits"]
    shutil.move(folder, tmp_path / "old")
    write(folder, [(None, {"logits": torch.zeros(6, 2), "lists": torch.arange(6)})], KEY)
    assert torch.equal(opened.rows(ids)["logits"], want)
    opened = Store(folder)
    with (folder / "0.npy").open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\1\2\3\4")
    for read in (lambda: opened.rows(ids), opened.whole):
        with pytest.raises(ValueError, match=r"is damaged: 0.npy \('logits'\) was written to after it was opened"):
            read()


def test_rows_out_of_range_are_named(tmp_path):
    opened = Store(small(tmp_path / "store"))
    for ids in ([0, 6], [-1, 2]):
        with pytest.raises(
            ValueError, match=rf"'n_id' must be from 0 to 5, the rows of 'logits'.*{ids[0]} to {ids[1]}"
        ):
            opened.rows(torch.tensor(ids))


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


def test_a_row_that_comes_twice_is_named_and_leaves_nothing(tmp_path):
    for parts in (
        [(torch.tensor([0, 1]), {"x": torch.zeros(2)}), (torch.tensor([1]), {"x": torch.ones(1)})],
        [(torch.tensor([0, 1, 1]), {"x": torch.zeros(3)})],
    ):
        with pytest.raises(ValueError, match="a store needs every row once, got id 1 twice: number nodes over all"):
            write(tmp_path / "store", parts, KEY)
        assert list(tmp_path.iterdir()) == []


def test_entries_of_other_lengths_are_named_and_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match=r"equally many rows to be stored, got {'x': 2, 'y': 3}"):
        write(tmp_path / "store", [(None, {"x": torch.zeros(2), "y": torch.zeros(3)})], KEY)
    assert list(tmp_path.iterdir()) == []


FULL = """
import resource, sys, torch
from graphkd.core.store_writer import write
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
try:
    write(sys.argv[1], [(torch.arange(30000).flip(0), {"x": torch.zeros(30000)})], {})
except OSError as error:
    print("OSError", error.errno)
"""


def test_a_disk_without_room_is_an_error_and_leaves_nothing(tmp_path):
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", FULL, str(tmp_path / "store")]
    found = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    assert found.stdout == f"OSError {errno.EFBIG}\n"
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_of_killed_writers_goes_and_nothing_else(tmp_path):
    left, other = tmp_path / ".store.0123456789abcdef", tmp_path / ".store.backup"
    alive, another = tmp_path / ".store.00000000000000aa", tmp_path / ".storey.0123456789abcdef"
    for folder in (left, other, alive, another):
        folder.mkdir()
        folder.with_name(f"{folder.name}.lock").touch()
    holds = "import sys; from pathlib import Path; from graphkd.core.files import claim; claim(Path(sys.argv[1])); "
    command = [sys.executable, "-c", holds + "print(1, flush=True); input()", f"{alive}.lock"]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
        one.stdout.readline()
        write(tmp_path / "store", [(None, {"x": torch.ones(2)})], KEY)
        one.communicate(b"\n")
    assert not left.exists()
    assert not left.with_name(f"{left.name}.lock").exists()
    assert all(folder.exists() for folder in (other, alive, another))
    write(tmp_path / "store", [(None, {"x": torch.ones(2)})], KEY)
    assert not alive.exists()


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
    lock, folder = sorted(tmp_path.iterdir(), key=lambda path: path.is_dir())  # half a store, without a manifest
    assert lock.name == f"{folder.name}.lock"
    assert not (folder / "manifest.json").exists()
    teacher, data = gcn(1), graph()
    assert torch.equal(Cached(teacher, data, path=tmp_path / "store")(data)["logits"], Frozen(teacher)(data)["logits"])
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


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
