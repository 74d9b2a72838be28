"""Archives of arrays from outside: read whole, or refused by name, with no file left open."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkd.core.archives import read_arrays

ARRAYS = {"a": np.arange(40), "b": np.array(["x", "yz"]), "c": np.zeros((0, 3), np.float16)}


def archive(**changes) -> bytes:
    written = io.BytesIO()
    np.savez_compressed(written, **ARRAYS, **changes)
    return written.getvalue()


def test_arrays_come_back_and_those_chosen_alone(tmp_path):
    (tmp_path / "a.npz").write_bytes(archive())
    found = read_arrays(tmp_path / "a.npz")
    assert list(found) == list(ARRAYS)
    for name, each in ARRAYS.items():
        assert np.array_equal(found[name], each)
        assert found[name].dtype == each.dtype
    assert list(read_arrays(tmp_path / "a.npz", lambda names: names[1:2])) == ["b"]


def test_objects_are_refused_unless_they_are_left_out(tmp_path):
    (tmp_path / "a.npz").write_bytes(archive(evil=np.array([{}], dtype=object)))
    with pytest.raises(ValueError, match=r"a.npz' must be an .npz of plain arrays, no objects"):
        read_arrays(tmp_path / "a.npz")
    assert list(read_arrays(tmp_path / "a.npz", lambda names: ["a"])) == ["a"]


def test_what_is_chosen_badly_says_so_itself(tmp_path):
    (tmp_path / "a.npz").write_bytes(archive())

    def choose(names):
        raise ValueError(f"no 'z' among {names}")

    with pytest.raises(ValueError, match=r"^no 'z' among \['a', 'b', 'c'\]"):
        read_arrays(tmp_path / "a.npz", choose)
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"\x93NUMPY", b"\x80\x04.", archive()[:-30]])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.npz' must be an .npz"):
        read_arrays(tmp_path / "a.npz")
    with (tmp_path / "b.npz").open("wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(ValueError, match=r"b.npz' must be an .npz"):
        read_arrays(tmp_path / "b.npz")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(archive()) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_does_no_harm(tmp_path_factory, place, change):
    content = bytearray(archive())
    content[place] ^= change
    path = tmp_path_factory.mktemp("bytes") / "a.npz"
    path.write_bytes(content)
    said = ""
    try:
        read_arrays(path)
    except ValueError as error:
        said = str(error)
    assert not said or "a.npz' must be an .npz" in said


def test_an_array_that_is_cut_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("a.npy", b"\x93NUMPY\x01\x00")
    with pytest.raises(ValueError, match=r"a.npz' must be an .npz"):
        read_arrays(tmp_path / "a.npz")
