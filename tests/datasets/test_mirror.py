"""`fetch` takes the mirror, then the cache, then the URL, and accepts nothing but the expected bytes."""

import hashlib
import re
import tempfile
from http.client import IncompleteRead
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.mirror import available, fetch

CONTENT = bytes(range(256)) * 8
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "folder/file.bin"
NOWHERE = "https://example.invalid/file.bin"


def write(root, content=CONTENT):
    path = Path(root) / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def files(root):
    return [path for path in Path(root).rglob("*") if path.is_file()]


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    """Neither mirror nor cache has anything unless a test puts it there."""
    monkeypatch.delenv("GRAPHKD_MIRROR", raising=False)
    monkeypatch.setenv("GRAPHKD_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKD_MIRROR", str(tmp_path / "mirror"))
    return tmp_path / "mirror"


def test_mirror_comes_first(mirror, tmp_path):
    write(tmp_path / "cache")
    path = write(mirror)
    assert fetch(NAME, NOWHERE, SHA256) == path


def test_cache_comes_before_a_download(mirror, tmp_path):
    path = write(tmp_path / "cache")
    assert fetch(NAME, NOWHERE, SHA256) == path


def test_root_replaces_the_cache_of_the_environment(tmp_path):
    write(tmp_path / "cache", b"ignored")
    path = write(tmp_path / "root")
    assert fetch(NAME, NOWHERE, SHA256, tmp_path / "root") == path
    assert fetch(NAME, NOWHERE, SHA256, str(tmp_path / "root")) == path


def test_default_cache_is_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("GRAPHKD_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write(tmp_path / ".cache" / "graphkd")
    assert fetch(NAME, NOWHERE, SHA256) == path


def test_empty_variables_count_as_unset(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKD_MIRROR", "")
    path = write(tmp_path / "cache")
    assert fetch(NAME, NOWHERE, SHA256) == path


def test_download_lands_in_the_cache_and_leaves_nothing_else(mirror, tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(CONTENT)
    path = fetch(NAME, source.as_uri(), SHA256)
    assert path == tmp_path / "cache" / NAME
    assert path.read_bytes() == CONTENT
    assert list((tmp_path / "cache").rglob("*")) == [path.parent, path]
    assert files(mirror) == []
    source.unlink()
    assert fetch(NAME, source.as_uri(), SHA256) == path


def test_target_appears_only_when_complete(tmp_path, monkeypatch):
    def download(url, partial, progress):
        assert not (tmp_path / "cache" / NAME).exists()
        Path(partial).write_bytes(CONTENT)
        assert Path(partial).stat().st_dev == tmp_path.stat().st_dev
        assert not (tmp_path / "cache" / NAME).exists()

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    assert fetch(NAME, NOWHERE, SHA256).read_bytes() == CONTENT


def test_wrong_checksum_in_the_mirror(mirror, tmp_path):
    path = write(mirror, b"other")
    write(tmp_path / "cache")  # a good copy elsewhere does not make up for it
    got = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(RuntimeError) as error:
        fetch(NAME, NOWHERE, SHA256)
    assert str(error.value) == (
        f"the file {path} has the wrong sha256: expected {SHA256}, got {got}; replace or delete it"
    )


def test_wrong_checksum_in_the_cache(tmp_path):
    path = write(tmp_path / "cache", b"other")
    with pytest.raises(RuntimeError, match=f"the file {re.escape(str(path))} has the wrong sha256"):
        fetch(NAME, NOWHERE, SHA256)


def test_wrong_checksum_of_a_download(tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(b"other")
    with pytest.raises(RuntimeError, match=rf"download of {NAME} from file:.* wrong sha256: .*was not kept"):
        fetch(NAME, source.as_uri(), SHA256)
    assert files(tmp_path / "cache") == []


@pytest.mark.parametrize("reason", [URLError("no route"), TimeoutError("slow"), IncompleteRead(b"", 9)])
def test_failed_download_says_what_from_where_and_what_to_do(tmp_path, monkeypatch, reason):
    def fail(*args, **kwargs):
        raise reason

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(RuntimeError, match=f"download of {NAME} from {NOWHERE} failed") as error:
        fetch(NAME, NOWHERE, SHA256)
    assert f"set GRAPHKD_MIRROR to a folder that contains {NAME}" in str(error.value)
    assert error.value.__cause__ is reason
    assert files(tmp_path / "cache") == []


@pytest.mark.parametrize("place", ["mirror", "cache", "download"])
@settings(deadline=None, max_examples=30)
@given(length=st.integers(0, len(CONTENT) - 1))
def test_any_truncation_is_refused(place, length):
    refuse(place, CONTENT[:length])


@pytest.mark.parametrize("place", ["mirror", "cache", "download"])
@settings(deadline=None, max_examples=30)
@given(position=st.integers(0, len(CONTENT) - 1), flip=st.integers(1, 255))
def test_any_changed_byte_is_refused(place, position, flip):
    content = bytearray(CONTENT)
    content[position] ^= flip
    refuse(place, bytes(content))


@settings(deadline=None, max_examples=20)
@given(tail=st.binary(min_size=1, max_size=50))
def test_anything_appended_is_refused(tail):
    refuse("cache", CONTENT + tail)


def refuse(place, content):
    """A file of this content, put in this place, makes `fetch` raise and is not copied anywhere."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        root = Path(folder)
        patch.setenv("GRAPHKD_MIRROR", str(root / "mirror"))
        path = write(root / place, content)
        with pytest.raises(RuntimeError, match=f"wrong sha256: expected {SHA256}"):
            fetch(NAME, path.as_uri(), SHA256, root / "cache")
        assert files(root) == [path]


def test_available(mirror, tmp_path):
    assert not available(NAME)
    (mirror / NAME).mkdir(parents=True)
    assert not available(NAME)  # a folder is no file
    path = write(tmp_path / "cache")
    assert available(NAME)
    path.unlink()
    (mirror / NAME).rmdir()
    write(mirror, b"whatever")
    assert available(NAME)


def test_available_looks_into_root(tmp_path):
    write(tmp_path / "root")
    assert not available(NAME)
    assert available(NAME, tmp_path / "root")
