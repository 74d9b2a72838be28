"""What is saved can be loaded, as it was written, or is refused by name; what cannot be written is said at once."""

from __future__ import annotations

import dataclasses
import enum
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import MLP

import graphkd
from graphkd import Distilled, Distiller, fit, load, save
from graphkd.core import checkpoint
from graphkd.core.files import claim, release
from graphkd.losses import CE, KL
from graphkd.schemes import Peers
from graphkd.schemes.online.dml import each_other
from tests.core.models import gcn, graph

DATA = {"x": torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), "y": torch.arange(8) % 2}
ROOT = Path(__file__).parents[2]


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return MLP([4, 6, 2], norm=None)


def task(student: nn.Module | None = None) -> Distiller:
    return Distiller(mlp() if student is None else student, losses=CE())


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Note:
    number: int = 1


# ---------------------------------------------------------------- damage
def damaged(raw: bytes) -> dict[str, bytes]:
    """Copies with a bit, a block or the end of the file changed."""
    flips = {
        f"bit {place}": bytes([*raw[:place], raw[place] ^ 1, *raw[place + 1 :]]) for place in range(0, len(raw), 97)
    }
    zeroed = {f"block {at}": raw[:at] + bytes(512) + raw[at + 512 :] for at in range(0, len(raw) - 512, 512)}
    cut = {f"cut by {count}": raw[:-count] for count in (1, 20, 64, 65, 79, 80, 101, 600)}
    return {**flips, **zeroed, **cut, "longer": raw + b"\0"}


@pytest.mark.parametrize("sealed", [True, False])
def test_a_damaged_checkpoint_is_refused_or_reads_as_it_was(tmp_path, sealed):
    path, state = tmp_path / "a.pt", {"w": torch.randn(1000), "n": 3}
    (save if sealed else torch.save)(state, path)
    assert same_state(load(path), state)
    refused, words = 0, set()
    for how, content in damaged(path.read_bytes()).items():
        path.write_bytes(content)
        try:
            assert same_state(load(path), state), how
        except ValueError as error:
            words.add(str(error).partition(", but ")[0])
            refused += 1
    assert words == {f"{str(path)!r} must be a checkpoint of tensors and plain containers"}
    assert refused > 50


def same_state(one, other) -> bool:
    return torch.equal(one["w"], other["w"]) and one["n"] == other["n"]


def test_torch_reads_a_checkpoint_too(tmp_path):
    save({"w": torch.arange(3)}, tmp_path / "a.pt")
    assert torch.load(tmp_path / "a.pt", weights_only=True)["w"].tolist() == [0, 1, 2]


def test_a_damaged_newest_checkpoint_is_replaced_by_the_one_before_with_a_word(tmp_path):
    whole = fit(task(), DATA, epochs=9)
    fit(task(), DATA, epochs=6, checkpoint=tmp_path, save_every=2)
    assert load(tmp_path / "last.old.pt")["progress"]["epoch"] == 4
    raw = bytearray((tmp_path / "last.pt").read_bytes())
    raw[len(raw) // 2] ^= 8
    (tmp_path / "last.pt").write_bytes(raw)
    with pytest.warns(UserWarning, match=r"last.pt' must be a checkpoint.*damaged.*goes on from .*last.old.pt'"):
        again = fit(task(), DATA, epochs=9, checkpoint=tmp_path, resume=True)
    assert same(whole.state_dict(), again.state_dict())
    for name in ("last.pt", "last.old.pt"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"last.pt' must be a checkpoint"):
        fit(task(), DATA, epochs=12, checkpoint=tmp_path, resume=True)


def test_files_that_were_swapped_are_refused(tmp_path):
    fit(task(), DATA, epochs=2, checkpoint=tmp_path)
    (tmp_path / "last.pt").rename(tmp_path / "x")
    (tmp_path / "best.pt").rename(tmp_path / "last.pt")
    with pytest.raises(ValueError, match=r"last.pt' must be what 'fit' keeps of a run, .* but holds a dict of \['lins"):
        fit(task(), DATA, epochs=4, checkpoint=tmp_path, resume=True)


@pytest.mark.parametrize("name", ["model.safetensors", "card.json"])
def test_a_damaged_student_is_refused_or_reads_as_it_was(tmp_path, name):
    result = graphkd.distil("none", gcn(2), None, graph(), epochs=1, progress=False)
    result.save(tmp_path)
    raw, words = (tmp_path / name).read_bytes(), set()
    for how, content in damaged(raw).items():
        (tmp_path / name).write_bytes(content)
        try:
            found = Distilled.load(tmp_path, gcn(3))
        except ValueError as error:
            words.add(str(error).partition(", not what was written")[0])
        else:
            assert same(found.model.state_dict(), result.model.state_dict()), how
            assert found.scores == result.scores, how
    assert words == {f"the student saved at {str(tmp_path)!r} is damaged"}


def test_weights_of_one_student_and_the_card_of_another_are_refused(tmp_path):
    for seed in (0, 1):
        graphkd.distil("none", gcn(seed), None, graph(), epochs=1, progress=False).save(tmp_path / str(seed))
    (tmp_path / "0" / "model.safetensors").replace(tmp_path / "1" / "model.safetensors")
    with pytest.raises(ValueError, match=r"is damaged, not what was written: model.safetensors; take another copy"):
        Distilled.load(tmp_path / "1", gcn(3))


# ---------------------------------------------------------------- what can be saved
@pytest.mark.parametrize(
    ("value", "kept"), [(np.float64(2.5), 2.5), (np.int64(3), 3), (np.bool_(True), True), (np.str_("z"), "z")]
)
def test_numbers_of_numpy_become_those_of_python(tmp_path, value, kept):
    state = {"a": [value, (value, {"b": value})], value: 1}
    save(state, tmp_path / "a.pt")
    found = load(tmp_path / "a.pt")
    assert found == {"a": [kept, (kept, {"b": kept})], kept: 1}
    assert type(found["a"][0]) is type(kept)
    assert type(state["a"][0]) is type(value)  # what was given stays


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros(2), r"'a.b\[0\].c' must be a tensor, .* got numpy.ndarray: torch.from_numpy\(array\) can be saved"),
        (Colour.RED, r"'a.b\[0\].c' must be a tensor, .* got .*Colour: save what it is made from, such as value.name"),
        (Note(), r"'a.b\[0\].c' must be .* got .*Note: .* dataclasses.asdict\(value\)"),
        (len, r"'a.b\[0\].c' must be .* got builtins.builtin_function_or_method: save what it is made from"),
        (nn.Linear(1, 1), r"'a.b\[0\].c' must be a tensor"),
        (nn.LazyLinear(1).weight, r"'a.b\[0\].c' must be .* it has no shape yet: run the model once"),
        (range(3), r"'a.b\[0\].c' must be"),
    ],
)
def test_what_cannot_be_loaded_is_refused_by_name_when_it_is_saved(tmp_path, value, words):
    with pytest.raises(ValueError, match=words):
        save({"a": {"b": [{"c": value}]}}, tmp_path / "a.pt")
    assert not list(tmp_path.iterdir())


def test_an_entry_with_a_key_that_is_not_plain_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"key of \[<Colour.RED: 1>\]' must be a tensor"):
        save({Colour.RED: 1}, tmp_path / "a.pt")


def test_what_is_nested_too_deeply_is_refused(tmp_path):
    itself: list = []
    itself.append(itself)
    with pytest.raises(ValueError, match="must be nested in at most 100 containers: is it in itself"):
        save(itself, tmp_path / "a.pt")


def test_a_learning_rate_of_numpy_is_saved_and_resumed(tmp_path):
    adam = partial(torch.optim.Adam, lr=np.logspace(-3, -1, 3)[1], weight_decay=np.float32(0.5))
    fit(task(), DATA, epochs=2, optimizer=adam, checkpoint=tmp_path)
    fit(task(), DATA, epochs=4, optimizer=adam, checkpoint=tmp_path, resume=True)
    group = load(tmp_path / "last.pt")["optimizer"]["param_groups"][0]
    assert (group["lr"], group["weight_decay"]) == (0.01, 0.5)
    assert type(group["lr"]) is float


class Counting(list):
    """Data that counts how often it was gone through."""

    def __init__(self, number) -> None:
        super().__init__([DATA])
        self.number = number

    def state_dict(self):
        return {"number": self.number}

    def load_state_dict(self, state):
        self.number = state["number"]


def test_a_state_of_data_is_checked_before_the_first_epoch(tmp_path):
    said: list = []
    fit(task(), Counting(np.int64(3)), epochs=1, checkpoint=tmp_path / "ok")
    assert load(tmp_path / "ok" / "last.pt")["data"] == {"number": 3}
    with pytest.raises(ValueError, match=r"'data.number' must be a tensor, a number, text, .* got .*Colour"):
        fit(task(), Counting(Colour.RED), epochs=30, checkpoint=tmp_path / "bad", log=said.append)
    assert not said


def test_a_further_state_of_a_module_is_checked_before_the_first_epoch(tmp_path):
    class Extra(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.mode = mlp(), Colour.RED

        def forward(self, x):
            return self.inner(x)

        def get_extra_state(self):
            return {"mode": self.mode}

    said: list = []
    with pytest.raises(ValueError, match=r"'trainable.student._extra_state.mode' must be a tensor"):
        fit(task(Extra()), DATA, epochs=30, checkpoint=tmp_path, log=said.append)
    assert not said


# ---------------------------------------------------------------- names
@pytest.mark.parametrize("wrap", [partial(torch.compile, backend="eager"), nn.DataParallel])
def test_a_wrapped_student_is_kept_under_its_plain_names(tmp_path, wrap):
    plain = fit(task(), DATA, epochs=4)
    model = fit(task(wrap(mlp())), DATA, epochs=4, metric=lambda _: 0.5, checkpoint=tmp_path)
    best = load(tmp_path / "best.pt")
    assert MLP([4, 6, 2], norm=None).load_state_dict(best)
    assert same(best, plain.state_dict())
    assert len(model.state_dict()) == len(best)


@pytest.mark.parametrize("first", [True, False])
def test_a_compiled_run_is_resumed_by_a_plain_one_and_the_other_way_round(tmp_path, first):
    wrapped = partial(torch.compile, backend="eager")
    students = [wrapped(mlp()), mlp()] if first else [mlp(), wrapped(mlp())]
    whole = fit(task(), DATA, epochs=6)
    fit(task(students[0]), DATA, epochs=3, metric=lambda _: 0.5, checkpoint=tmp_path)
    again = fit(task(students[1]), DATA, epochs=6, metric=lambda _: 0.5, checkpoint=tmp_path, resume=True)
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_wrapped_students_among_peers_are_kept_under_their_plain_names(tmp_path):
    compiled = partial(torch.compile, backend="eager")
    peers = partial(Peers, rule=each_other, labels=CE(where="train_mask"))
    fit(peers([compiled(gcn(1)), gcn(2)]), graph(), epochs=2, checkpoint=tmp_path)
    assert not [name for name in load(tmp_path / "last.pt")["trainable"] if "_orig_mod" in name]
    again = fit(peers([gcn(1), compiled(gcn(2))]), graph(), epochs=4, checkpoint=tmp_path, resume=True)
    whole = fit(peers([gcn(1), gcn(2)]), graph(), epochs=4)
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_compiled_student_of_a_run_is_resumed_as_a_plain_one(tmp_path):
    run = partial(graphkd.distil, "kd", teacher=gcn(1), data=graph(), epochs=2, progress=False, checkpoint=tmp_path)
    one = run(student=torch.compile(gcn(2), backend="eager"))
    other = run(student=gcn(2), resume=True)
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b)
    one.save(tmp_path / "student")
    found = Distilled.load(tmp_path / "student", gcn(5)).model
    assert same(found.state_dict(), other.model.state_dict())


# ---------------------------------------------------------------- files and folders
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_permissions_of_any_new_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        save({"w": torch.zeros(2)}, tmp_path / "a.pt")
        graphkd.distil("none", gcn(2), None, graph(), epochs=1, progress=False).save(tmp_path / "student")
    finally:
        os.umask(before)
    for path in (tmp_path / "a.pt", *(tmp_path / "student").iterdir()):
        assert path.stat().st_mode & 0o777 == mode


def test_a_folder_that_cannot_be_made_is_said_before_the_first_epoch(tmp_path):
    (tmp_path / "file").write_text("in the way")
    said: list = []
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(
            OSError, match=r"'checkpoint' must be a folder that can be written, .* cannot \(.*: give another"
        ):
            fit(task(), DATA, epochs=30, checkpoint=place, log=said.append)
        with pytest.raises(OSError, match=r"'checkpoint' must be a folder that can be written"):
            graphkd.distil("none", gcn(2), None, graph(), checkpoint=place, log=said.append, progress=False)
    assert not said


def test_a_disk_without_room_is_said_before_the_first_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr("graphkd.core.folder.shutil.disk_usage", lambda _: os.terminal_size((0, 0)) and Room())
    said: list = []
    with pytest.raises(OSError, match=r"'checkpoint' needs 0.0 MB, .* has 0.0 MB free: make room there") as caught:
        fit(task(), DATA, epochs=30, checkpoint=tmp_path, log=said.append)
    assert caught.value.errno == 28
    assert not said
    assert not list(tmp_path.iterdir())


class Room:
    """A disk that has a few bytes left."""

    free = 100


FULL = """
import resource, signal, sys, torch
from graphkd import load, save
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
save({"w": torch.zeros(2)}, sys.argv[1])
for size in (60_000, 3_000_000):
    try:
        save({"w": torch.zeros(size)}, sys.argv[1])
    except OSError as error:
        print("OSError", error.errno)
print(load(sys.argv[1])["w"].shape)
"""


def test_a_file_that_cannot_be_written_whole_is_an_os_error_and_leaves_nothing(tmp_path):
    command = [sys.executable, "-c", FULL, str(tmp_path / "a.pt")]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["OSError 27", "OSError 27", "torch.Size([2])"], done.stderr[-2000:]
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_a_disk_that_fills_up_during_the_run_leaves_the_best_weights_and_the_good_files(tmp_path, monkeypatch):
    kept: list = []

    def metric(model):
        kept.append({name: value.clone() for name, value in model.state_dict().items()})
        return -len(kept)

    def write(state, path):
        if state.get("progress", {}).get("epoch", 0) > 2:
            raise OSError(28, "No space left on device")
        plain(state, path)

    plain = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", write)
    student = mlp()
    with pytest.raises(OSError, match="No space left on device"):
        fit(task(student), DATA, epochs=9, metric=metric, checkpoint=tmp_path, save_every=2)
    assert same(student.state_dict(), kept[0])
    assert load(tmp_path / "last.pt")["progress"]["epoch"] == 2
    assert same(load(tmp_path / "best.pt"), kept[0])


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    for name in (".last.pt.0123456789abcdef", ".last.pt.x_7", ".best.pt.a1", ".last.pt.backup.old", ".other"):
        (tmp_path / name).write_bytes(b"half")
    living = tmp_path / ".last.pt.fedcba9876543210"
    handle = claim(living)
    save({}, tmp_path / "last.pt")
    left = [".best.pt.a1", ".last.pt.backup.old", living.name, ".other", "last.pt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left
    release(living, handle)
    (tmp_path / ".env.local").write_text("dear")
    save({}, tmp_path / "env")
    assert (tmp_path / ".env.local").read_text() == "dear"


WRITER = """
import sys, time
from pathlib import Path
from graphkd.core.files import claim
claim(Path(sys.argv[1]))
print("has it", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that has claimed a file."""
    started: list = []

    def start(path: Path) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"has it\n"
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_what_another_process_writes_stays_until_it_dies(tmp_path, other):
    path = tmp_path / ".last.pt.0123"
    process = other(path)
    save({}, tmp_path / "last.pt")
    assert path.is_file()
    process.kill()
    process.wait()
    save({}, tmp_path / "last.pt")
    assert not path.exists()


def test_two_runs_in_one_folder_are_refused_while_both_live(tmp_path, other):
    process = other(tmp_path / ".running")
    for run in (
        lambda: fit(task(), DATA, epochs=1, checkpoint=tmp_path),
        lambda: graphkd.distil("none", gcn(2), None, graph(), epochs=1, checkpoint=tmp_path, progress=False),
    ):
        with pytest.raises(
            ValueError, match=r"'checkpoint' must be the folder of one run, .* is another's that runs now"
        ):
            run()
    process.kill()
    process.wait()
    fit(task(), DATA, epochs=1, checkpoint=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "last.old.pt", "last.pt"]


def test_two_runs_of_one_process_in_one_folder_are_refused(tmp_path):
    def metric(_):
        fit(task(), DATA, epochs=1, checkpoint=tmp_path)

    with pytest.raises(ValueError, match=r"is another's that runs now in process \d+: give another folder"):
        fit(Distiller(mlp(), mlp(), KL()), DATA, epochs=2, metric=metric, checkpoint=tmp_path)
