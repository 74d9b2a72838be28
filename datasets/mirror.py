"""Raw files, each with its checksum: from a local mirror, from the cache, or downloaded into the cache."""

import hashlib
import os
import sys
import tempfile
from http.client import HTTPException
from pathlib import Path

import torch

__all__ = ["available", "fetch", "places"]


def fetch(relative: str, url: str | None, sha256: str, root: str | Path | None = None) -> Path:
    """Return the path of a raw file after verifying its checksum.

    Takes the first that exists: `$GRAPHKD_MIRROR/relative`, `root/relative`, a download into the latter.

    Args:
        relative: path below the mirror and below the cache folder, with forward slashes.
        url: of the download, None for a file that was built by a recipe and is not published.
        sha256: expected checksum of the whole file, 64 hexadecimal digits.
        root: cache folder, by default `$GRAPHKD_CACHE` or `~/.cache/graphkd`.

    Raises:
        RuntimeError: the file has another checksum, or it could not be downloaded.
    """
    for path in places(relative, root):
        if path.is_file():
            _verify(path, sha256, f"the file {path}", "replace or delete it")
            return path
    if url is None:
        raise RuntimeError(
            f"{relative} is not to be downloaded: set GRAPHKD_MIRROR to a folder that has it, or put it into the "
            f"cache, {places(relative, root)[-1]}; python -m datasets.recipes --help says how it is built"
        )
    return _download(places(relative, root)[-1], url, sha256, relative)


def available(relative: str, root: str | Path | None = None) -> bool:
    """Tell whether `fetch` would find the file without a download; its checksum is not verified."""
    return any(path.is_file() for path in places(relative, root))


def places(relative: str, root: str | Path | None) -> list[Path]:
    """List the possible paths of a file or folder in order of preference; the last one is in the cache."""
    mirror = os.environ.get("GRAPHKD_MIRROR")
    cache = root or os.environ.get("GRAPHKD_CACHE") or "~/.cache/graphkd"
    return [Path(folder).expanduser() / relative for folder in (mirror, cache) if folder]


def _download(target: Path, url: str, sha256: str, relative: str) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the last step is one rename: no reader ever sees a partial file.
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        partial = Path(folder) / target.name
        try:
            torch.hub.download_url_to_file(url, str(partial), progress=sys.stderr.isatty())
        except (OSError, HTTPException) as error:
            raise RuntimeError(
                f"download of {relative} from {url} failed ({error!r}); "
                f"set GRAPHKD_MIRROR to a folder that contains {relative} to do without it"
            ) from error
        _verify(partial, sha256, f"the download of {relative} from {url}", "it was not kept")
        partial.replace(target)
    return target


def _verify(path: Path, expected: str, what: str, advice: str) -> None:
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != expected:
        raise RuntimeError(f"{what} has the wrong sha256: expected {expected}, got {got}; {advice}")
