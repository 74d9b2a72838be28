"""Compile every Triton kernel for NVIDIA's sm_90 (H100, H200) on any machine: registers, spills, shared memory.

``python -m benchmarks.compile_kernels [WORD ...]`` prints a line for every specialisation in the ``COMPILED`` lists of
``graphkd.kernels.cuda`` (only for those whose line has all the words) and fails if one spills registers.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import triton
from rich.console import Console
from rich.table import Table
from tqdm import tqdm
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from graphkd.kernels import cuda
from graphkd.kernels.cuda.common import Compiled

TARGET = GPUTarget("cuda", 90, 32)
_USAGE = re.compile(r"REG:(\d+) STACK:(\d+) ")


class Usage(NamedTuple):
    """What a specialisation takes: registers a thread, bytes spilled a thread, bytes of shared memory a block."""

    kernel: str
    specialisation: str
    registers: int
    spilled: int
    shared: int


def compiled_lists() -> Iterator[tuple[str, Compiled]]:
    """Every entry of every ``COMPILED`` list, with the name of its file."""
    for module in pkgutil.iter_modules(cuda.__path__):
        for entry in getattr(importlib.import_module(f"{cuda.__name__}.{module.name}"), "COMPILED", ()):
            yield module.name, entry


def describe(entry: Compiled) -> str:
    """Narrowest dtype of the pointers, constants and warps of a specialisation."""
    dtype = next((dtype for dtype in ("fp16", "bf16") if dtype in entry.types), "fp32")
    constants = " ".join(f"{name}={value}" for name, value in entry.constants.items())
    return f"{dtype} {constants} warps={entry.warps}"


def compile_entry(entry: Compiled) -> tuple[bytes, int]:
    """The machine code, and the bytes of shared memory."""
    names = [name for name in entry.kernel.arg_names if name not in entry.constants]
    types = entry.types.split()
    if len(names) != len(types):
        raise ValueError(f"{entry.kernel.__name__} takes {len(names)} arguments that vary ({names}), got {types}")
    given = dict(zip(names, types, strict=True))
    signature = {name: given.get(name, "constexpr").removesuffix(":16") for name in entry.kernel.arg_names}
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, name in enumerate(entry.kernel.arg_names)
        if given.get(name, "").startswith("*") or given.get(name, "").endswith(":16")
    }
    source = ASTSource(entry.kernel, signature, dict(entry.constants), aligned)
    options = {"num_warps": entry.warps, "num_stages": entry.stages, "enable_fp_fusion": True}
    compiled: Any = triton.compile(source, target=TARGET, options=options)
    return compiled.asm["cubin"], compiled.metadata.shared


def usage(entry: Compiled) -> Usage:
    """Compile a specialisation and read what it takes off the machine code."""
    code, shared = compile_entry(entry)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.cubin")
        file.write_bytes(code)
        command = [triton.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", file]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    found = _USAGE.search(text)
    if found is None:
        raise ValueError(f"cuobjdump's resource usage must name REG and STACK, got {text!r}")
    # No kernel of ours has an array or a function of its own on the stack: what lies there was spilled.
    return Usage(entry.kernel.__name__, describe(entry), int(found[1]), int(found[2]), shared)


def table(rows: Iterable[Usage]) -> Table:
    """The rows to read."""
    drawn = Table("kernel", "specialisation", title=f"sm_{TARGET.arch}, Triton {triton.__version__}")
    for name in ("registers", "spilled B", "shared B"):
        drawn.add_column(name, justify="right")
    for row in rows:
        figures = (str(value) for value in row[2:])
        drawn.add_row(row.kernel, row.specialisation, *figures, style="bold red" if row.spilled else None)
    return drawn


def main(arguments: list[str] | None = None) -> None:
    """Compile, print the table, fail on spills."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile_kernels", description=__doc__)
    parser.add_argument("words", nargs="*", help="only lines that have all of these, as 'edges' or 'fp16'")
    parser.add_argument("--out", type=Path, help="write JSON Lines here, one object per specialisation")
    args = parser.parse_args(arguments)
    if triton.knobs.runtime.interpret:
        sys.exit("TRITON_INTERPRET is set: interpreted kernels cannot be compiled, unset it")
    entries = [
        entry
        for file, entry in compiled_lists()
        if all(word in f"{file} {entry.kernel.__name__} {describe(entry)}" for word in args.words)
    ]
    if not entries:
        sys.exit(f"no kernel's line has all of {args.words}")
    rows = [usage(entry) for entry in tqdm(entries, disable=None)]
    console = Console()
    (console if console.is_terminal else Console(width=180)).print(table(rows))
    if args.out:
        args.out.write_text("".join(json.dumps(row._asdict()) + "\n" for row in rows))
    spilling = sum(row.spilled > 0 for row in rows)
    print(f"{len(rows)} specialisations compiled, {spilling} spill registers")
    sys.exit(1 if spilling else 0)


if __name__ == "__main__":
    main()
