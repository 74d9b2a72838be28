"""The Python blocks of the site's pages, as they are run by tests."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
SNIPPET = "# include: "
# Page -> the words by which tests find its blocks. A block that none finds fails ``test_site``.
RUN: dict[str, tuple[str, ...]] = {
    "index.md": ("read_graph", "read_interactions"),
    "compress.md": ("graphkd.compress(", "recsys.compress("),  # in tests/compress
    "guides/federated.md": ("start_server", "start_client"),
    "guides/processes.md": ("Fabric",),
    "guides/recbole.md": ("LightGCN",),
    "guides/sequential.md": ("SASRec",),
    "guides/serving.md": ("serve.export",),
    "guides/tasks.md": (
        *(
            "evaluate_on=data",
            "MultiLabelNodeClassification",
            "GraphClassification",
            "LinkPrediction(val=val, test=test)",
        ),
        *("node_type=", "edge_type="),
    ),
    "guides/tuning.md": (".tune(",),
}


def blocks(page: str) -> list[str]:
    """The blocks of a page, without those that are a file of examples."""
    found = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    return [code for code in found if SNIPPET not in code]


def block(page: str, word: str) -> str:
    """The one block of a page that has this word."""
    (found,) = (code for code in blocks(page) if word in code)
    return found


def run(code: str, page: str, names: dict | None = None) -> dict:
    """Run a block; gives its names."""
    known = {"__name__": "block", **(names or {})}
    exec(compile(code, page, "exec"), known)
    return known
