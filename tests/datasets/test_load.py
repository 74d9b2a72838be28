"""What every dataset and every split of `load` promises."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import datasets

CASES = [(name, split) for name, splits in datasets.DATASETS.items() for split in splits]
PER_CLASS = {
    ("digits", "random"): (20, 30),
    ("karate", "random"): (2, 2),
    ("cora", "cpf"): (20, 30),
    ("citeseer", "cpf"): (20, 30),
    ("sbm", "random"): (20, 30),
}
MASKS = ("train_mask", "val_mask", "test_mask")


@pytest.fixture(params=CASES, ids="-".join)
def case(request, needs_dataset):
    needs_dataset(*request.param)
    return request.param


def load(case, **options):
    return datasets.load(case[0], split=case[1], **options).data


def equal(one, two, keys):
    return all(torch.equal(one[key], two[key]) for key in keys)


def test_names_and_splits():
    assert set(datasets.DATASETS) == {"digits", "karate", "cora", "citeseer", "sbm"}
    assert {name: next(iter(splits)) for name, splits in datasets.DATASETS.items()} == {
        "digits": "random",
        "karate": "random",
        "cora": "public",
        "citeseer": "public",
        "sbm": "random",
    }


def test_tensors_have_the_promised_types_and_shapes(case):
    data = load(case)
    assert sorted(data.keys()) == sorted(["x", "edge_index", "y", *MASKS])
    assert data.x.dtype == torch.float32
    assert data.x.layout == torch.strided
    assert data.x.isfinite().all()
    assert data.edge_index.dtype == torch.int64
    assert data.edge_index.shape[0] == 2
    assert data.y.dtype == torch.int64
    assert data.y.shape == (data.x.shape[0],)
    assert data.y.unique().tolist() == list(range(int(data.y.max()) + 1))
    for mask in MASKS:
        assert data[mask].dtype == torch.bool
        assert data[mask].shape == data.y.shape
        assert data[mask].any()
    assert (sum(data[mask].int() for mask in MASKS) <= 1).all()
    data.validate(raise_on_error=True)


def test_graph_is_symmetric_without_duplicates_or_self_loops(case):
    sources, targets = load(case).edge_index.tolist()
    edges = set(zip(sources, targets, strict=True))
    assert len(edges) == len(sources)
    assert edges == {(target, source) for source, target in edges}
    assert all(source != target for source, target in edges)


def test_same_seed_gives_the_same_data_and_leaves_global_generators_alone(case):
    state = torch.get_rng_state()
    one, two = load(case, seed=3), load(case, seed=3)
    assert equal(one, two, one.keys())
    assert torch.equal(state, torch.get_rng_state())


def test_seed_changes_random_splits_and_only_these(case):
    one, two = load(case, seed=0), load(case, seed=1)
    assert equal(one, two, MASKS) == (case[1] == "public")
    if case[0] != "sbm":
        assert equal(one, two, ("x", "edge_index", "y"))


@pytest.mark.parametrize("case", PER_CLASS, ids="-".join)
def test_random_splits_have_the_same_number_per_class_and_leave_nobody_out(case, needs_dataset):
    needs_dataset(*case)
    data = load(case, seed=5)
    train, val = PER_CLASS[case]
    assert (data.y[data.train_mask].bincount() == train).all()
    assert (data.y[data.val_mask].bincount() == val).all()
    assert (sum(data[mask].int() for mask in MASKS) == 1).all()


def test_default_split_is_the_first(case):
    name, split = case
    if split == next(iter(datasets.DATASETS[name])):
        default = datasets.load(name).data
        assert equal(default, load(case), default.keys())


def test_unknown_name():
    with pytest.raises(ValueError, match=r"name must be one of \['digits', 'karate', 'cora', .*\], got 'corra'"):
        datasets.load("corra")


@pytest.mark.parametrize(
    ("name", "split", "offered"),
    [("cora", "random", r"\['public', 'cpf'\]"), ("karate", "public", r"\['random'\]")],
)
def test_unknown_split(name, split, offered):
    with pytest.raises(ValueError, match=f"split of '{name}' must be one of {offered}, got '{split}'"):
        datasets.load(name, split=split)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_range(seed):
    with pytest.raises(ValueError, match=rf"seed must be between 0 and 2\*\*32 - 1, got {seed}"):
        datasets.load("karate", seed=seed)


def test_root_is_the_cache(tmp_path, monkeypatch):
    """Without a mirror, `root` is where `load` looks: a wrong file there is found, and refused."""
    monkeypatch.delenv("GRAPHKD_MIRROR", raising=False)
    (tmp_path / "cpf").mkdir()
    (tmp_path / "cpf" / "cora.npz").write_bytes(b"not the file")
    with pytest.raises(RuntimeError, match=r"cora\.npz has the wrong sha256: expected 068e22d9"):
        datasets.load("cora", split="cpf", root=tmp_path)


def test_importing_needs_neither_scikit_learn_nor_networkx():
    code = "import sys; sys.modules['sklearn'] = sys.modules['networkx'] = None; import datasets"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_the_page_of_data_names_every_set_with_its_splits():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    for name, tasks in datasets.CATALOGUE.items():
        (line,) = (line for line in lines if f"`{name}`" in line.split("|")[1])
        assert all(f"`{split}`" in line.split("|")[3] for split in next(iter(tasks.values()))), name
        assert ("links" in line) == ("link_prediction" in tasks), name


def test_a_task_of_the_set(needs_dataset):
    needs_dataset("cora", "public")
    data, task = datasets.load("cora", task="link_prediction", seed=1)
    assert task.kind == "link_prediction"
    assert data.edge_label_index.size(1) == 4487
    with pytest.raises(ValueError, match=r"task of 'karate' must be one of \['node_classification'\], got 'link_pre"):
        datasets.load("karate", task="link_prediction")


def test_new_nodes_are_kept_from_training():
    with pytest.raises(ValueError, match="needs nodes that training does not see, 'new_mask'"):
        datasets.load("karate", inductive=True)
