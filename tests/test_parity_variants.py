"""Variants of golden cases that the folders have not: weights, layers, widths, what is absent."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests import parity
from tests.parity import ADAPTERS

GOLDEN = Path(__file__).parent / "golden"
PARTS = ("weight", "bias")


def normal(seed: int, **shapes: tuple[int, ...]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}


def check(name, inputs, params, want, asked=()):
    """The adapter's outputs and gradients are those of ``want``, a function of inputs and parameters."""
    found, given = ({key: x.clone().requires_grad_(key in asked) for key, x in inputs.items()} for _ in range(2))
    got, expected = ADAPTERS[name](found, dict(params)), want(given, params)
    descended = expected.pop("descended", expected.get("loss"))
    for key in asked:
        expected[f"grad_{key}"] = torch.autograd.grad(descended, given[key], retain_graph=True)[0]
        if f"grad_{key}" not in got:
            got[f"grad_{key}"] = torch.autograd.grad(got["loss"], found[key], retain_graph=True)[0]
    for key, value in expected.items():
        bound = 1e-9 * float(value.detach().double().abs().max()) + 1e-12
        assert parity.error(got[key].detach(), value.detach()) <= bound, key


def kl(student, teacher):
    """KL(teacher || student) of log-probabilities, the mean over rows."""
    return (teacher.exp() * (teacher - student)).sum(dim=1).mean()


def perceptron(x, inputs, prefix, last):
    """The output of ``last`` + 1 linear layers with ReLU between, and of the one before it without ReLU."""
    before = None
    for layer in range(last + 1):
        hidden, before = (x if layer == 0 else x.relu()), (x if layer == last else before)
        x = F.linear(hidden, inputs[f"{prefix}{layer}_weight"], inputs[f"{prefix}{layer}_bias"])
    return x, before


def layers(prefix: str, *widths: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (width, out) in enumerate(pairwise(widths)):
        shapes |= {f"{prefix}{layer}_weight": (out, width), f"{prefix}{layer}_bias": (out,)}
    return shapes


# ---------------------------------------------------------------- NOSMOG and GLNN
def nosmog(inputs, params):
    torch.manual_seed(params["torch_seed"])
    order = torch.randperm(inputs["labels"].size(0))
    x, soft = inputs["features"][order], params["criterion"] == "kl"
    target = inputs["teacher_log_probs" if soft else "labels"][order]
    last = sum(name.startswith("mlp_layers") for name in inputs) // 2 - 1

    def answer(x):
        log_p = perceptron(x, inputs, "mlp_layers_", last)[0].log_softmax(dim=1)
        return kl(log_p, target) if soft else F.nll_loss(log_p, target)

    epsilon = params["adv_eps"]
    delta = torch.rand(x.shape, dtype=x.dtype) * 2 * epsilon - epsilon
    for _ in range(5):
        delta.requires_grad_()
        (slope,) = torch.autograd.grad(answer(x + delta), delta)
        delta = (delta.detach() + epsilon / 4 * slope.sign()).clamp(-epsilon, epsilon)
    encoder = (inputs[f"mlp_mlp_feature_encoder_{part}"] for part in ("weight", "bias"))
    own = F.linear(perceptron(x, inputs, "mlp_layers_", last)[1], *encoder).relu()
    theirs = inputs["teacher_features"][order]
    similarity = (theirs @ theirs.t() - own @ own.t()).square().mean()
    loss = answer(x) + 0.1 * answer(x + delta) + params["feat_distill_weight"] * similarity
    return {"loss": loss, "descended": params["weight"] * loss, "adv_delta": delta, "perm": order}


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("criterion", ["kl", "nll"])
def test_nosmog_reports_its_loss_before_the_weight(criterion, weight):
    encoder = {"mlp_mlp_feature_encoder_weight": (5, 6), "mlp_mlp_feature_encoder_bias": (5,)}
    inputs = normal(0, features=(9, 4), teacher_features=(9, 5), **layers("mlp_layers_", 4, 7, 6, 3), **encoder)
    inputs["labels"] = torch.arange(9) % 3
    if criterion == "kl":
        inputs["teacher_log_probs"] = normal(1, logits=(9, 3))["logits"].log_softmax(dim=1)
    params = {"adv_eps": 0.05, "feat_distill_weight": 0.2, "weight": weight, "criterion": criterion, "torch_seed": 4}
    check("nosmog", inputs, params, nosmog, [name for name in inputs if name.startswith("mlp_")])


def glnn_epoch(inputs, params):
    last = sum(name.startswith("mlp_layers") for name in inputs) // 2 - 1
    own = {name: x.clone().requires_grad_() for name, x in inputs.items() if name.startswith("mlp_layers")}
    optimizer = torch.optim.Adam(own.values(), lr=params["lr"], weight_decay=params["weight_decay"])
    torch.manual_seed(params["torch_seed"])
    orders, losses, size = ([], []), [], params["batch_size"]

    def mean_loss(rows, loss, weight, orders):
        orders.append(torch.randperm(rows.size(0)))
        count = max(rows.size(0) // size, 1)
        found = []
        for batch in rows[orders[-1][: count * size]].split(size):
            value = loss(perceptron(inputs["features"][batch], own, "mlp_layers_", last)[0].log_softmax(dim=1), batch)
            optimizer.zero_grad()
            (weight * value).backward()
            optimizer.step()
            found.append(value.item())
        return sum(found) / count

    for _ in range(params["epochs"]):
        label = mean_loss(
            inputs["idx_train"], lambda p, rows: F.nll_loss(p, inputs["labels"][rows]), params["lamb"], orders[0]
        )
        soft = mean_loss(
            torch.arange(len(inputs["labels"])),
            lambda p, rows: kl(p, inputs["teacher_log_probs"][rows]),
            1 - params["lamb"],
            orders[1],
        )
        losses.append([label, soft])
    found = {f"after_{name}": x for name, x in own.items()} | {"losses": torch.tensor(losses, dtype=torch.float64)}
    return found | {"perm_l": torch.stack(orders[0]), "perm_t": torch.stack(orders[1])}


@pytest.mark.parametrize(("lamb", "size", "widths"), [(0.3, 4, (5, 6, 3)), (1.0, 5, (5, 6, 6, 3)), (0.5, 13, (5, 3))])
def test_epochs_of_glnn_in_batches(lamb, size, widths):
    inputs = normal(2, features=(13, 5), **layers("mlp_layers_", *widths))
    inputs |= {"labels": torch.arange(13) % 3, "idx_train": torch.tensor([2, 0, 9, 5, 12, 7])}
    inputs["teacher_log_probs"] = normal(3, logits=(13, 3))["logits"].log_softmax(dim=1)
    params = {"lamb": lamb, "lr": 0.02, "weight_decay": 0.01, "batch_size": size, "epochs": 2, "torch_seed": 11}
    check("glnn_epoch", inputs, params, glnn_epoch)


# ---------------------------------------------------------------- CPF
def cpf(inputs, params):
    source, target = inputs["edge_index"]
    nodes, classes = inputs["teacher_probs"].shape
    inductive = params["ptype"] == "ind"
    own = (inputs["features"] * inputs["plp_layer_attn_l"]).sum(1) if inductive else inputs["plp_layer_fc_emb"][:, 0]
    scores = torch.full((nodes, nodes), -torch.inf, dtype=torch.float64).index_put((target, source), own[source])
    attention = scores.softmax(dim=1)
    known = torch.zeros(nodes, 1, dtype=torch.bool).index_fill(0, inputs["idx_train"].long(), True)
    label = F.one_hot(inputs["labels"].long(), classes).double()
    state, depth = torch.where(known, label, torch.full_like(label, 1 / classes)), params["mlp_layers"]
    for _ in range(params["num_layers"]):
        mixed = attention @ state
        if depth:
            prefix = "plp_layer_mlp_linears_" if depth > 1 else "plp_layer_mlp_linear_"
            named = inputs if depth > 1 else {f"{prefix}0_{part}": inputs[f"{prefix}{part}"] for part in PARTS}
            gate = inputs["plp_layer_lr_alpha"].sigmoid()
            mixed = gate * mixed + (1 - gate) * perceptron(inputs["features"], named, prefix, depth - 1)[0]
        state = torch.where(known, label, mixed.relu())
    log_p, q = (x[~known[:, 0]] for x in (state.log_softmax(dim=1), inputs["teacher_probs"]))
    p = log_p.exp()
    return {
        "loss": (p - q).square().sum().sqrt(),
        "loss_mode1_bce": -(q * log_p + (1 - q) * (1 - p).log()).mean(),
        "loss_mode2_kl": (q * (q.log() - log_p)).mean(),
        "student_output": state,
        "attention": attention[target, source],
    }


@pytest.mark.parametrize("ptype", ["ind", "tra"])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_cpf_with_any_perceptron_or_none(depth, ptype):
    shapes = layers("plp_layer_mlp_linears_", *[5, 6, 6, 3][: depth + 1]) if depth > 1 else {}
    if depth == 1:
        shapes = {"plp_layer_mlp_linear_weight": (3, 5), "plp_layer_mlp_linear_bias": (3,)}
    if depth:
        shapes["plp_layer_lr_alpha"] = (12, 1)
    shapes |= {"plp_layer_attn_l": (1, 5)} if ptype == "ind" else {"plp_layer_fc_emb": (12, 1)}
    inputs = {name: x / 3 for name, x in normal(5, features=(12, 5), **shapes).items()}  # no class is certain
    asked = [name for name in inputs if depth or name != "features"]
    inputs |= {"labels": (torch.arange(12) % 3).int(), "idx_train": torch.tensor([0, 3, 7]).int()}
    inputs["teacher_probs"] = normal(6, logits=(12, 3))["logits"].softmax(dim=1)
    ring = torch.stack([torch.arange(12), (torch.arange(12) + 1) % 12])
    inputs["edge_index"] = torch.cat([ring, ring.flip(0), torch.arange(12).expand(2, -1)], dim=1)
    params = {"num_layers": 3, "emb_dim": 6, "mlp_layers": depth, "ptype": ptype}
    check(f"cpf_{ptype}", inputs, params, cpf, asked)


# ---------------------------------------------------------------- GFKD
def gfkd(inputs, params):
    sizes = inputs["sizes"].tolist()
    squares = inputs["structure_params"].split([n * n for n in sizes])
    blocks = [x.view(n, n) >= 0 for x, n in zip(squares, sizes, strict=True)]
    edges = torch.block_diag(*blocks).bool() & ~torch.eye(sum(sizes), dtype=torch.bool)
    graph = edges.double().t() + params["self_loop"] * torch.eye(sum(sizes), dtype=torch.float64)
    scale = graph.sum(dim=1, keepdim=True).clamp_min(1).rsqrt()
    x = inputs["feature_params"].softmax(dim=1) if params["onehot"] else inputs["feature_params"]
    terms, hidden = [], x
    for layer in range(params["num_layers"] - 1):
        conv, norm = f"net_gcnlayers_{layer}_", f"net_norms_{layer}_"
        rows = scale * (graph @ (scale * hidden)) @ inputs[f"{conv}weight"] + inputs[f"{conv}bias"]
        mean, variance = inputs[f"{norm}running_mean"], inputs[f"{norm}running_var"]
        terms.append((variance - rows.var(dim=0, correction=0)).norm() + (mean - rows.mean(dim=0)).norm())
        rows = (rows - mean) / (variance + 1e-5).sqrt() * inputs[f"{norm}weight"] + inputs[f"{norm}bias"]
        hidden = rows.relu() + hidden if layer else rows.relu()
    pooled = torch.stack([part.sum(dim=0) for part in hidden.split(sizes)])
    answer = F.linear(pooled, *(inputs[f"net_linears_prediction_{part}"] for part in PARTS))
    loss = F.cross_entropy(answer, inputs["targets"].long()) + params["bn_reg_scale"] * sum(terms)
    if params["onehot"]:
        loss = loss - params["onehot_cof"] * (x * x.log()).sum() / x.size(0)
    return {"loss": loss, "bn_terms": torch.stack(terms), "structures": inputs["structure_params"] >= 0}


@pytest.mark.parametrize(("onehot", "self_loop", "width"), [(1, True, 6), (0, False, 6), (0, True, 5)])
def test_gfkd_with_features_as_wide_as_its_layers(onehot, self_loop, width):
    shapes = {"net_linears_prediction_weight": (2, 6), "net_linears_prediction_bias": (2,)}
    for layer, before in enumerate((width, 6, 6)):
        shapes |= {f"net_gcnlayers_{layer}_weight": (before, 6), f"net_gcnlayers_{layer}_bias": (6,)}
        shapes |= {f"net_norms_{layer}_{part}": (6,) for part in ("weight", "bias", "running_mean", "running_var")}
    inputs = normal(7, feature_params=(8, width), structure_params=(26,), **shapes)
    inputs |= {name: x.square() + 0.5 for name, x in inputs.items() if name.endswith("running_var")}
    inputs |= {"sizes": torch.tensor([3, 1, 4]), "targets": torch.tensor([1, 0, 1]).int()}
    params = {"onehot": onehot, "onehot_cof": 0.02, "bn_reg_scale": 0.1, "self_loop": self_loop, "num_layers": 4}
    check("gfkd_feature", inputs, params | {"hidden": 6, "classes": 2}, gfkd, ["feature_params"])


# ---------------------------------------------------------------- what is absent, and other types
def golden(folder: str, name: str) -> tuple[dict[str, torch.Tensor], dict]:
    """Inputs and parameters of the golden case ``name``."""
    (case,) = (each for each in json.loads((GOLDEN / folder / "index.json").read_text()) if each["name"] == name)
    arrays = parity.read(GOLDEN / folder / case["file"])
    return {key: arrays[key] for key in case["inputs"]}, case["params"]


def value(name: str, inputs: dict, params: dict) -> float:
    """The loss; recommenders' tables and other weights as leaves, as adapters expect those that train."""
    leaves = {key: x.clone().requires_grad_(x.is_floating_point()) for key, x in inputs.items()}
    return ADAPTERS[name](leaves, params)["loss"].item()


@pytest.mark.parametrize(
    ("folder", "name", "defaults"),
    [
        ("graph", "lsp_cosine", {"criterion": "kld"}),
        ("graph", "gkd", {"k": 128, "power": 1, "pool3_only": False, "intra_only": False, "inter_only": False}),
        ("graph", "gkd_rkd", {"pool3_only": False}),
        ("graph", "hkd", {"knn": 8, "nce_k": 20, "T": 0.07, "momentum": 0.9, "smooth": 0.75}),
        ("graph", "intra_affinity", {"literal": False, "valid_only": True}),
        ("graph", "freekd", {"T": 1.0, "sim": "cosine", "beta_sim": 1.0}),
        ("graph", "tinygnn_pam", {"peers": "siblings", "residual": False}),
        ("recsys", "bpr", {"reduction": "sum"}),
        ("recsys", "cd", {"t1": 2.0, "t2": 0.0, "eps": 1e-10, "reduction": "mean"}),
        ("recsys", "unkd", {"eps": 1e-10, "reduction": "mean"}),
        ("recsys", "rrd", {"reduction": "sum"}),
        ("recsys", "rrd_unkd", {"reduction": "mean"}),
        ("recsys", "rd", {"renormalize": False}),
        ("recsys", "de", {"gate_eps": 1e-10}),
        ("recsys", "htd", {"gate_eps": 1e-10}),
        ("recsys", "hetcomp_rank", {"score_clamp": 40.0, "floor": 1e-5}),
        ("recsys", "rocket", {"grad_block": True, "batchSize": 6}),
    ],
)
def test_what_a_case_leaves_out_is_the_authors(folder, name, defaults):
    inputs, params = golden(folder, name)
    want = value(name, inputs, params | defaults)
    assert value(name, inputs, {key: x for key, x in params.items() if key not in defaults}) == want
    assert value(name, inputs, params | dict.fromkeys(defaults)) == want


@pytest.mark.parametrize("name", ["gcrd", "gsp_cosine", "gsp_rbf"])
def test_rows_are_drawn_as_by_the_authors_where_a_case_has_a_seed_alone(name):
    inputs, params = golden("graph", name)
    drawn = torch.from_numpy(np.random.RandomState(5).choice(len(inputs["labels"]), 6, replace=False))
    params |= {"max_samples": 6, "np_seed": 5}
    found = ADAPTERS[name](dict(inputs), params)
    assert torch.equal(found["sampled_inds"], drawn)
    given = inputs | {"sampled_inds": drawn.int()}
    assert found["loss"].item() == value(name, given, params | {"np_seed": None})
    assert found["loss"].item() != value(name, inputs, params | {"max_samples": 8192})


def test_a_batch_smaller_than_its_neighbourhoods_needs_no_maps_of_them():
    inputs, params = golden("graph", "hkd_unary")
    maps = {key: x for key, x in inputs.items() if not key.startswith("gnn")}
    assert len(maps) == len(inputs) - 4
    assert value("hkd_unary", maps, params) == value("hkd_unary", inputs, params)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("graph", name) for name in ("cpf_ind", "ffg2m", "freekd", "gfkd_feature", "gkd_class", "glnn", "hkd", "kd_node")]
    + [("recsys", name) for name in ("htd", "irrrd_step", "kdcrec_mf_cause", "rcekd", "rocket", "unkd")],
)
def test_ids_and_labels_may_be_of_32_bits(folder, name):
    inputs, params = golden(folder, name)
    short = {key: x.int() if x.dtype == torch.int64 else x for key, x in inputs.items()}
    assert value(name, short, params) == value(name, inputs, params)


def unit_graph(x):
    """The normalised graph of cosines without loops, by loops over its entries."""
    rows = x / x.square().sum(dim=1, keepdim=True).sqrt()
    graph = rows @ rows.t() * (1 - torch.eye(len(x), dtype=x.dtype))
    degree = graph.sum(dim=1)
    return torch.stack(
        [torch.stack([g / (degree[i] * degree[j]).sqrt() for j, g in enumerate(row)]) for i, row in enumerate(graph)]
    )


@pytest.mark.parametrize("layers", [("l1", "l2"), ("l2",), ("l1", "l2", "l3", "l4")])
def test_any_number_of_layers_is_divided_by_the_authors_three(layers):
    shapes = {f"{side}_features_{layer}": (5, 3) for layer in layers for side in ("student", "teacher")}
    inputs = {name: x.abs() for name, x in normal(0, **shapes).items()} | {"labels": torch.tensor([0, 1, 0, 1, 2])}
    pairs = [[inputs[f"{side}_features_{layer}"] for side in ("student", "teacher")] for layer in layers]
    gaps = [(unit_graph(s) - unit_graph(t)).square().sum() for s, t in pairs]
    assert value("gkd", inputs, {"lambda_gkd": 5.0}) == pytest.approx(5.0 * float(sum(gaps)) / 3, rel=1e-9)
    assert value("gkd", inputs, {"lambda_gkd": 5.0, "pool3_only": True}) == pytest.approx(
        5.0 * float(gaps[-1]), rel=1e-9
    )

    def apart(x):
        distances = torch.pdist(x)
        return distances / distances.mean()

    losses = [F.smooth_l1_loss(apart(s), apart(t)) for s, t in pairs]
    assert value("gkd_rkd", inputs, {"lambda_rkd": 5.0}) == pytest.approx(5.0 * float(sum(losses)) / 3, rel=1e-9)
    last = value("gkd_rkd", inputs, {"lambda_rkd": 5.0, "pool3_only": True})
    assert last == pytest.approx(5.0 * float(losses[-1]), rel=1e-9)


@pytest.mark.parametrize(
    ("folder", "name", "key", "one", "other"),
    [
        ("graph", "freekd", "sim", "neg_sq_l2", "sqeuclidean"),
        ("generic", "metadistil_step", "soft_loss", "mse_of_probabilities", "mse"),
    ],
)
def test_a_choice_has_several_names(folder, name, key, one, other):
    inputs, params = golden(folder, name)
    first = value(name, inputs, params | {key: one})
    assert first == value(name, inputs, params | {key: other})
    assert first != value(name, inputs, params)


def test_the_parts_of_dist_have_the_square_of_the_temperature():
    inputs, params = golden("generic", "dist")
    found = ADAPTERS["dist"](dict(inputs), params | {"tau": 4.0, "beta": 2.0, "gamma": 0.5})
    assert float(found["loss"]) == pytest.approx(2.0 * float(found["inter"]) + 0.5 * float(found["intra"]), rel=1e-12)
