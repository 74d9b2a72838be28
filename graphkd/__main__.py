"""``python -m graphkd``: versions of what is installed; ``methods`` lists methods, ``compress`` searches a student.

::

    python -m graphkd
    python -m graphkd methods --task links
    python -m graphkd compress graph.npz --teacher logits.npy --latency-ms 0.2 --out student/
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version

import torch

from graphkd.compress import compress
from graphkd.compressing.command import add_compress, compress_files
from graphkd.core.card import versions
from graphkd.distil import methods

# Optional packages by the extra that installs them.
_EXTRAS = {
    "tune": ("optuna",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "recsys": ("pandas", "scikit-learn", "recbole"),
    "federated": ("flwr",),
    "scatter": ("torch-scatter",),
    "": ("triton", "matplotlib", "faiss-cpu", "pyg-lib", "ogb"),
}
_KINDS = {"nodes": "node_classification", "links": "link_prediction", "graphs": "graph_classification"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command: print to the standard output, or exit with a message where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m graphkd", description="Knowledge distillation on graphs.")
    commands = parser.add_subparsers(dest="command")
    known = commands.add_parser("methods", help="the methods that have a name")
    known.add_argument("--task", help=f"those of one kind of task, such as {', '.join(_KINDS)}")
    known.add_argument("--family", help="those of one family")
    add_compress(commands.add_parser("compress", help="search a student that is accurate, fast and small"))
    asked = parser.parse_args(argv)
    try:
        if asked.command == "compress":
            compress_files(asked, compress)
        else:
            lines = _methods(asked.task, asked.family) if asked.command == "methods" else _installed()
            sys.stdout.write("\n".join(lines) + "\n")
    except (ValueError, TypeError, OSError, ImportError, RuntimeError) as error:
        parser.error(str(error))
    return 0


def _methods(task: str | None, family: str | None) -> Iterator[str]:
    """Yield one line per method: name, family, needs, what it does."""
    for row in methods(task=_KINDS.get(task or "", task), family=family):
        yield f"{row.name:<24} {row.family:<12} {', '.join(row.needs) or '-':<28} {row.summary}"


def _installed() -> Iterator[str]:
    """Yield the lines of a report on the installation: versions, threads, devices and methods."""
    yield from (f"{name:<16} {number}" for name, number in versions().items())
    for extra, packages in _EXTRAS.items():
        advice = f"pip install 'graphkd[{extra}]'" if extra else "optional"
        yield from (f"{name:<16} {_version(name) or f'not installed ({advice})'}" for name in packages)
    yield f"{'threads':<16} {torch.get_num_threads()}"
    places = [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]
    yield f"{'devices':<16} {', '.join(['cpu', *places])}"
    rows = methods()
    yield f"{'methods':<16} {len(rows)}: python -m graphkd methods"
    yield from (f"  {family}: {', '.join(row.name for row in rows if row.family == family)}" for family in _families())


def _families() -> list[str]:
    return list(dict.fromkeys(row.family for row in methods()))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
