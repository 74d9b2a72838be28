"""The numpy runner is the module it was made of, comes back from a file as it was, and refuses what is no chain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from torch import nn
from torch_geometric.nn import MLP, GCNConv

import graphkd
from graphkd.serving import NumpyMLP


class Own(nn.Module):
    """As students are written by hand."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3, bias=False)

    def forward(self, x):
        x = F.dropout(F.relu(self.norm(self.first(x))), 0.5, self.training)
        return self.second(x.relu())


MODELS = {
    "one layer": lambda: nn.Linear(6, 3),
    "sequential": lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(), nn.Sequential(nn.Linear(8, 3))),
    "norm first": lambda: nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3, bias=False), nn.BatchNorm1d(3)),
    "relu first": lambda: nn.Sequential(nn.Identity(), nn.ReLU(inplace=True), nn.Linear(6, 3), nn.ReLU(inplace=True)),
    "norm after relu": lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.BatchNorm1d(8, affine=False)),
    "pyg": lambda: MLP([6, 8, 8, 3], dropout=0.5),
    "pyg without norms": lambda: MLP([6, 8, 3], norm=None, bias=False),
    "pyg, activation first": lambda: MLP([6, 8, 3], act_first=True, plain_last=False),
    "own": Own,
}


def trained(name, dtype=torch.float32):
    """A model whose running statistics and affine weights are not those of its beginning."""
    torch.manual_seed(0)
    model = MODELS[name]().to(dtype).train()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d) and part.affine:
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    for _ in range(5):
        model(torch.randn(20, 6, dtype=dtype) * 3 + 1)
    return model.eval()


@pytest.mark.parametrize("rows", [0, 1, 33])
@pytest.mark.parametrize("name", MODELS)
def test_as_eager(name, rows):
    model, x = trained(name), torch.randn(rows, 6)
    runner, before = NumpyMLP.of(model.train()), x.clone()
    assert model.training  # it is left as it was
    found = runner(x.numpy())
    assert found.dtype == np.float32
    assert torch.equal(x, before)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), model.eval()(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_in_float64_to_rounding(name):
    model, x = trained(name, torch.float64), torch.randn(5, 6, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(NumpyMLP.of(model)(x.numpy())), model(x), rtol=1e-12, atol=1e-12)


def test_definition_of_a_folded_norm():
    model = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1, eps=0.0)).double().eval()
    model[0].weight.data, model[0].bias.data = torch.tensor([[2.0, 3.0]]).double(), torch.tensor([5.0]).double()
    model[1].running_mean.fill_(4.0), model[1].running_var.fill_(4.0)
    model[1].weight.data.fill_(6.0), model[1].bias.data.fill_(1.0)
    runner = NumpyMLP.of(model)
    assert [step.kind for step in runner.steps] == ["linear"]
    assert runner(np.array([1.0, 10.0])).tolist() == [(2 * 1 + 3 * 10 + 5 - 4) / 2 * 6 + 1]


def test_its_weights_are_its_own():
    model = trained("sequential")
    runner, x = NumpyMLP.of(model), np.ones((1, 6), np.float32)
    before = runner(x)
    for parameter in model.parameters():
        parameter.data.zero_()
    assert np.array_equal(runner(x), before)


def test_of_what_distil_gave_and_of_one_row():
    model = trained("pyg")
    runner = NumpyMLP.of(graphkd.Distilled(model, {}, "none"))
    x = np.random.default_rng(0).standard_normal(6)
    assert runner(x).shape == (3,)
    assert np.allclose(runner(x), runner(x[None].astype(np.float32))[0])
    assert repr(runner) == "NumpyMLP(6 -> 3: linear relu linear relu linear)"
    assert runner.nbytes == 4 * (6 * 8 + 8 + 8 * 8 + 8 + 8 * 3 + 3)


class TestFiles:
    @pytest.mark.parametrize("name", MODELS)
    def test_there_and_back(self, name, tmp_path):
        runner, x = NumpyMLP.of(trained(name)), np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
        runner.save(tmp_path / "deep" / "student.safetensors")
        assert np.array_equal(NumpyMLP.load(tmp_path / "deep" / "student.safetensors")(x), runner(x))

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.data())
    def test_a_damaged_file_is_refused(self, tmp_path_factory, data):
        path = tmp_path_factory.mktemp("files") / "student"
        NumpyMLP.of(trained("own")).save(path)
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content[: data.draw(st.sampled_from([len(content), place]))])
        try:
            found = NumpyMLP.load(path)
        except ValueError as error:
            assert "NumpyMLP.save wrote" in str(error)  # noqa: PT017
        else:  # a space in the header
            assert np.array_equal(found(np.ones(6)), NumpyMLP.of(trained("own"))(np.ones(6)))

    def test_files_of_others_are_refused(self, tmp_path):
        save_file({"0.weight": np.ones((2, 2), np.float32)}, tmp_path / "other")
        with pytest.raises(ValueError, match=r"must be what NumpyMLP\.save wrote, and is not"):
            NumpyMLP.load(tmp_path / "other")
        NumpyMLP.of(trained("own")).save(tmp_path / "own")
        assert sorted(load_file(tmp_path / "own")) == ["0.bias", "0.weight", "2.bias", "2.weight"]
        with pytest.raises(FileNotFoundError):
            NumpyMLP.load(tmp_path / "none")


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 6)

    def forward(self, x):
        return x + self.lin(x)


class Branch(Sum):
    def forward(self, x):
        return self.lin(x) if x.sum() > 0 else x


class Both(Sum):
    def forward(self, x):
        return self.lin(x), x


class Always(Sum):
    def forward(self, x):
        return F.dropout(self.lin(x), 0.5, True)


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (nn.Sequential(nn.Linear(6, 6), nn.Tanh()), "it has '1', Tanh, which is none of them: graphkd.serving.export"),
        (MLP([6, 8, 3], act="elu"), "ELU, which is none of them"),
        (MLP([6, 8, 3], norm="layer_norm"), "which is none of them"),
        (nn.Sequential(nn.BatchNorm1d(6, track_running_stats=False)), "BatchNorm1d, which is none of them"),
        (Sum(), "it has 'add', which does not take what the step before it gave alone"),
        (Branch(), "the forward of Branch must be a chain of .* it cannot be read"),
        (Both(), "Both must give the end of its chain alone"),
        (Always(), "it has 'dropout', which is none of them"),
        (GCNConv(6, 3), "must be a chain of Linear"),
        (nn.LazyLinear(3), "LazyLinear has layers without widths yet: call it once"),
        (nn.Linear(6, 3).half(), "weights must be float32 or float64, got torch.float16"),
        ({}, "'model' must be a torch module, or what distil gave, got dict"),
    ],
)
def test_what_is_no_chain(model, match):
    with pytest.raises(TypeError, match=match):
        NumpyMLP.of(model)


def test_what_else_is_refused():
    model = trained("own")
    with pytest.raises(ValueError, match="must have at least one linear layer"):
        NumpyMLP.of(nn.Sequential(nn.ReLU()))
    runner = NumpyMLP.of(model)
    for x, got in ((np.ones((2, 5)), r"\(2, 5\)"), (np.ones((1, 2, 6)), r"\(1, 2, 6\)"), (torch.ones(6), "Tensor")):
        with pytest.raises(ValueError, match=rf"'x' must be a numpy array \(B, 6\) or \(6,\), got {got}"):
            runner(x)
    model.second.register_forward_hook(lambda *given: given[-1] * 2)
    with pytest.raises(RuntimeError, match="Own must answer as the chain of its layers does"):
        NumpyMLP.of(model)
