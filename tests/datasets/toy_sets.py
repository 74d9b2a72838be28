"""Classes of data sets as PyG's are, with raw files that are written in the place of a download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data, HeteroData, InMemoryDataset

NODES, COLUMNS = 60, 10


def graph(seed: int = 0, *, homophily: float = 0.2, features: bool = True) -> Data:
    """A graph whose edges join mostly nodes of different classes."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(NODES) % 3
    pairs = torch.randint(NODES, (2, 600), generator=generator)
    same = y[pairs[0]] == y[pairs[1]]
    kept = torch.rand(600, generator=generator) < torch.where(same, homophily, 0.5)
    x = torch.eye(3)[y] @ torch.randn(3, 8, generator=generator) + torch.randn(NODES, 8, generator=generator)
    return Data(x=x if features else None, edge_index=pairs[:, kept], y=y, num_nodes=NODES)


class Toy(InMemoryDataset):
    """One graph in a raw file; `downloads` and `processed` count."""

    downloads = processings = 0
    contents = b""  # of a further raw file

    def __init__(self, root: str, name: str = "a") -> None:
        self.name = name
        super().__init__(root)
        self.load(self.processed_paths[0])

    @property
    def raw_file_names(self) -> list[str]:
        return ["edges.npy", "notes.txt"]

    @property
    def processed_file_names(self) -> str:
        return "data.pt"

    def download(self) -> None:
        Toy.downloads += 1
        np.save(f"{self.raw_dir}/edges.npy", graph().edge_index.numpy())
        Path(self.raw_dir, "notes.txt").write_bytes(self.contents)

    def process(self) -> None:
        Toy.processings += 1
        data = graph()
        data.edge_index = torch.from_numpy(np.load(self.raw_paths[0]))
        self.save([data], self.processed_paths[0])


class Broken(Toy):
    """A download that ends early."""

    def download(self) -> None:
        super().download()
        raise OSError("the line is dead")


class Splits(Toy):
    """OGB's form: labels (N, 1) and ids."""

    def get_idx_split(self) -> dict[str, torch.Tensor]:
        return {"train": torch.arange(20), "valid": torch.arange(20, 40), "test": torch.arange(40, 60)}


class Parts(InMemoryDataset):
    """Graphs in published parts."""

    def __init__(self, root: str, split: str = "train") -> None:
        super().__init__(root)
        self.load(self.processed_paths[("train", "val", "test").index(split)])

    @property
    def raw_file_names(self) -> str:
        return "seed.txt"

    @property
    def processed_file_names(self) -> list[str]:
        return ["train.pt", "val.pt", "test.pt"]

    def download(self) -> None:
        Path(self.raw_paths[0]).write_text("3")

    def process(self) -> None:
        for number, (path, count) in enumerate(zip(self.processed_paths, (24, 8, 10), strict=True)):
            self.save(small_graphs(count, seed=number), path)


def small_graphs(count: int, seed: int = 0, *, features: bool = True) -> list[Data]:
    """Graphs of two classes: sparse and dense, as TU's come, y of shape (1,)."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for number in range(count):
        nodes = 6 + number % 3
        edges = torch.randint(nodes, (2, 8 + 16 * (number % 2)), generator=generator)
        x = torch.rand(nodes, 5, generator=generator) if features else None
        found.append(Data(x=x, edge_index=edges, y=torch.tensor([number % 2]), num_nodes=nodes))
    return found


class Held(InMemoryDataset):
    """Graphs that are made in memory."""

    def __init__(self, kind: str = "heterophilic") -> None:
        super().__init__()
        self.data, self.slices = self.collate(MADE[kind]())


def heterophilic() -> list[Data]:
    """Masks (N, 10), as the heterophilous sets of PyG have them."""
    data, place = graph(), torch.arange(NODES)[:, None] + 7 * torch.arange(COLUMNS)
    for number, name in enumerate(("train_mask", "val_mask", "test_mask")):
        data[name] = place % 3 == number
    return [data]


def three_types() -> list[HeteroData]:
    """Films, actors and directors; films have labels, directors no features."""
    generator, data, y = torch.Generator().manual_seed(0), HeteroData(), torch.arange(NODES) % 3
    data["film"].x, data["film"].y = graph().x, y
    data["actor"].x, data["director"].num_nodes = torch.randn(20, 4, generator=generator), 9
    for other, count in (("actor", 20), ("director", 9)):
        ends = torch.stack([torch.randint(count // 3, (NODES,), generator=generator) * 3 + y, torch.arange(NODES)])
        data[other, "of", "film"].edge_index, data["film", "has", other].edge_index = ends, ends.flip(0)
    for number, name in enumerate(("train_mask", "val_mask", "test_mask")):
        data["film"][name] = torch.arange(NODES) // 3 % 3 == number
    return [data]


def several_labels() -> list[Data]:
    """Labels apart, as Yelp's and PPI's come, without masks."""
    data = graph()
    data.y = (data.x[:, :4] > 0).float()
    return [data]


def regression() -> list[Data]:
    """Graphs with two targets, y of shape (1, 2), and edges with features, as QM9's come."""
    found = small_graphs(40)
    for each in found:
        each.y = torch.stack([each.x.sum(), each.x.mean()])[None]
        each.edge_attr = torch.nn.functional.one_hot(torch.arange(each.num_edges) % 3, 3).float()
    return found


MADE = {
    "heterophilic": heterophilic,
    "plain": lambda: [graph()],
    "bare": lambda: [graph(features=False)],
    "graphs": lambda: small_graphs(40),
    "bare graphs": lambda: small_graphs(40, features=False),
    "types": three_types,
    "labels": several_labels,
    "regression": regression,
}
