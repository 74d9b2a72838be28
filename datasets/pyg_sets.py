"""Public data sets through PyG's and OGB's own classes, downloaded and verified; see `datasets.checked`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.utils import coalesce, remove_self_loops, to_undirected

from datasets.checked import Built, built
from datasets.dotted import PARTS, dataset_class
from datasets.given import masks_of
from datasets.molecules import Graphs
from datasets.splits import per_class_split

__all__ = ["SETS", "dblp", "molhiv", "ogbn", "per_class", "ppi", "pubmed"]

TRAIN, VAL = 20, 30  # nodes per class
PYG, OGB_NODES, OGB_GRAPHS = "torch_geometric.datasets", "ogb.nodeproppred", "ogb.graphproppred"
# Name -> class, its arguments, and known checksums of raw files: the sha256, or git's id of the file in the repository
# of the download. Files without a checksum are trusted at their first download only.
SETS: Mapping[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "pubmed": (
        f"{PYG}:Planetoid",
        {"name": "PubMed"},
        {
            "ind.pubmed.x": "sha256:fbe9cb5c47200d1b7769a26e579be3b7130b556831f9d850e77c4c74f2599b33",
            "ind.pubmed.tx": "sha256:4eb5f5d0f30f26497eb0ac6ac9719d09c67e284f1ed0385c93f3ef27a671da3d",
            "ind.pubmed.allx": "git:3b86bccf08111c37c632a9dd8ab63db25ea76361",
            "ind.pubmed.y": "sha256:e6c807633307a07ed659249006536a147c7999c797f11a2560752990181b41b3",
            "ind.pubmed.ty": "sha256:ee2e0d4819d9fbcc403689c3bf2e49face401b605932f093bc58ab6461130fdd",
            "ind.pubmed.ally": "sha256:0c37bbe3b5014ec365e9d393cf4791925e5ed94fb194305d74f064a8d7b50f0e",
            "ind.pubmed.graph": "sha256:5b89f0036ca22909471f1e6558eb42fa06e0c730a577bde5b058b40638f81dc9",
            "ind.pubmed.test.index": "sha256:b101d421688bbaecbd82e8a18f1e282378d6830f3a37666f28ebc47f844341b5",
        },
    ),
    "amazon-photo": (
        f"{PYG}:Amazon",
        {"name": "Photo"},
        {"amazon_electronics_photo.npz": "git:97323743cb56aca9dd611f5b4b46862c1c9c6bd9"},
    ),
    "amazon-computers": (
        f"{PYG}:Amazon",
        {"name": "Computers"},
        {"amazon_electronics_computers.npz": "git:8120e4148a330b3fafe37c4476823302d9d834b9"},
    ),
    "coauthor-cs": (
        f"{PYG}:Coauthor",
        {"name": "CS"},
        {"ms_academic_cs.npz": "git:9bdd7da943d86b74297e8d32e99eb64245b52835"},
    ),
    "coauthor-physics": (
        f"{PYG}:Coauthor",
        {"name": "Physics"},
        {"ms_academic_phy.npz": "git:8d8bc12e29aa67f6753a712080eae81079bd7d01"},
    ),
    "dblp": (f"{PYG}:DBLP", {}, {}),
    "ppi": (f"{PYG}:PPI", {}, {}),
    "ogbn-arxiv": (f"{OGB_NODES}:PygNodePropPredDataset", {"name": "ogbn-arxiv"}, {}),
    "ogbn-products": (f"{OGB_NODES}:PygNodePropPredDataset", {"name": "ogbn-products"}, {}),
    "ogbg-molhiv": (f"{OGB_GRAPHS}:PygGraphPropPredDataset", {"name": "ogbg-molhiv"}, {}),
}


def pubmed(root: str | Path | None = None) -> Data:
    """Load PubMed with Planetoid's public split: 19,717 nodes, 500 features, 3 classes. See `datasets.planetoid`."""
    return _plain(_set("pubmed", root).graphs[0])


def per_class(name: str, seed: int = 0, root: str | Path | None = None) -> Data:
    """Load a graph of Amazon or Coauthor: 20 training, 30 validation nodes per class, rest test.

    From Shchur et al., "Pitfalls of Graph Neural Network Evaluation", 2018, with the same numbers of nodes.

    Args:
        name: "amazon-photo" (7,650 nodes, 745 features, 8 classes), "amazon-computers" (13,752, 767, 10), "coauthor-cs"
            (18,333, 6,805, 15) or "coauthor-physics" (34,493, 8,415, 5).
        seed: of the split.
        root: cache folder, see `datasets.mirror.fetch`.
    """
    data = _plain(_set(name, root).graphs[0])
    data.update(per_class_split(data.y.numpy(), train=TRAIN, val=VAL, seed=seed).masks())
    return data


def dblp(root: str | Path | None = None) -> HeteroData:
    """Load DBLP's authors, papers, terms and conferences, with MAGNN's split of 4,057 authors in 4 classes.

    From Fu et al., "MAGNN", 2020. The 20 conferences have no features and get one-hot ones.
    """
    data = _set("dblp", root).graphs[0]
    for kind in data.node_types:
        if data[kind].get("x") is None:
            data[kind].x = torch.eye(int(data[kind].num_nodes))
    return data


def ogbn(name: str, root: str | Path | None = None) -> Data:
    """Load a graph of OGB with its split, made undirected: "ogbn-arxiv" or "ogbn-products".

    From Hu et al., "Open Graph Benchmark", 2020. Labels (N, 1) become (N,).
    """
    found = _set(name, root)
    data = _plain(found.graphs[0])
    data.update(masks_of(found.split or {}, int(data.num_nodes or 0)))
    data.y = data.y.reshape(-1)
    return data


def ppi(root: str | Path | None = None) -> Data:
    """Load proteins of 24 tissues as one graph of 24 parts: 20 train, 2 validate, 2 test; 121 labels, 50 features.

    From Hamilton et al., "Inductive Representation Learning on Large Graphs", 2017. Nodes of the test parts are new.
    """
    path, arguments, sums = SETS["ppi"]
    pieces, part = [], []
    for number, name in enumerate(PARTS):
        graphs = built(dataset_class(path), "ppi", {**arguments, "split": name}, sums=sums, root=root).graphs
        pieces += list(graphs)
        part += [number] * sum(int(graph.num_nodes) for graph in graphs)
    whole, place = Batch.from_data_list(pieces), torch.tensor(part)
    masks = {f"{name}_mask": place == number for number, name in enumerate(PARTS)}
    return Data(x=whole.x, edge_index=whole.edge_index, y=whole.y, new_mask=place == len(PARTS) - 1, **masks)


def molhiv(root: str | Path | None = None) -> Graphs:
    """Load 41,127 molecules that act against HIV or do not, with OGB's split by scaffold; the metric is ROC AUC.

    From Hu et al., "Open Graph Benchmark", 2020. Categories of atoms and bonds become one-hot columns, `x` and
    `edge_attr`, when a molecule is read.
    """
    found = _set("ogbg-molhiv", root)  # raises with advice if OGB is missing
    from ogb.utils.features import get_atom_feature_dims, get_bond_feature_dims  # type: ignore[import-not-found]

    graphs: Any = found.graphs
    sizes = {"x": get_atom_feature_dims(), "edge_attr": get_bond_feature_dims()}
    graphs.transform = lambda graph: _one_hot(graph, sizes)
    split = found.split or {}
    return Graphs(*(graphs[split[name]] for name in ("train", "valid", "test")))


def _one_hot(graph: Data, sizes: Mapping[str, list[int]]) -> Data:
    for name, each in sizes.items():
        columns = zip(graph[name].T, each, strict=True)
        graph[name] = torch.cat([F.one_hot(column, size) for column, size in columns], dim=1).float()
    graph.y = graph.y.reshape(-1)
    return graph


def _set(name: str, root: str | Path | None) -> Built:
    path, arguments, sums = SETS[name]
    return built(dataset_class(path), name, arguments, sums=sums, root=root)


def _plain(data: Data) -> Data:
    """Make both directions of every edge occur once, without loops."""
    edges, _ = remove_self_loops(data.edge_index)
    nodes = int(data.num_nodes or 0)
    data.edge_index = coalesce(to_undirected(edges, num_nodes=nodes), num_nodes=nodes)
    return data
