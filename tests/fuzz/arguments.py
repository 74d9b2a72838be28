"""What a parameter is given, by its name; for some subjects by subject and name, ``"losses.GCRD.temperature"``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from graphkd.kernels import EdgeLayout, affinity_sums, edge_layout
from graphkd.kernels.edges.segments import segment_log_softmax
from graphkd.kernels.norms import unit_vectors
from graphkd.losses import CRCD
from recsys.data.interactions import Interactions
from recsys.data.lists import Lists
from tests.fuzz.draw import Draw

ITEMS, USERS = 6, 4
OMIT = object()  # take the default
_OF_DENSITY = ("kernel", "eps", "diagonal")


def student(draw: Draw) -> Tensor:
    """Rows of the student."""
    size = draw.sizes
    if draw.wrong == "one_dimensional":
        return draw.rows("student", size["rows"])
    return draw.rows("student", size["rows"], size["width"])


def teacher(draw: Draw) -> Tensor:
    """Rows of the teacher, which has no gradient."""
    size = draw.sizes
    rows = size["rows"] + (draw.wrong == "teacher_rows")
    width = size["teacher_width"] + (draw.wrong == "teacher_width")
    return draw.rows("teacher", rows, width, differentiable=False)


def taught(draw: Draw) -> Tensor:
    """Rows of the teacher, with a gradient."""
    return draw.leaf("teacher", teacher(draw))


def rows(name: str, width: str = "width", more: int = 0, least: int = 0) -> Callable[[Draw], Tensor]:
    """Rows of a name, as many as the student's or ``more``."""
    return lambda draw: draw.rows(name, max(draw.sizes["rows"] + more, least), draw.sizes[width])


def constant(make: Callable[[Draw], Tensor]) -> Callable[[Draw], Tensor]:
    """Without a gradient."""
    return lambda draw: make(draw).detach()


def layout(draw: Draw) -> EdgeLayout:
    return edge_layout(draw.edge_index(draw.sizes["rows"]), draw.sizes["rows"])


def edges(name: str) -> Callable[[Draw], Tensor]:
    """A value of every edge."""
    return lambda draw: draw.rows(name, draw.edge_index(draw.sizes["rows"]).size(1))


def log_prob(draw: Draw) -> Tensor:
    """Log-probabilities of the edges that enter a node."""
    found = segment_log_softmax(edges("teacher_log_prob")(draw).detach().double(), layout(draw))
    return draw.leaf("teacher_log_prob", draw.rounded(found))


def index(name: str, columns: int, end: int) -> Callable[[Draw], Tensor]:
    return lambda draw: draw.integers(name, (draw.sizes["rows"], columns), end)


def labels(draw: Draw) -> Tensor:
    return draw.labels(draw.sizes["rows"], draw.sizes["width"])


def numbers(draw: Draw) -> Tensor:
    """Labels of a regression, in the student's shape."""
    return draw.rows("y", draw.sizes["rows"], draw.sizes["width"], differentiable=False)


def several_hot(draw: Draw) -> Tensor:
    """0 or 1 for every entry of the student."""
    return draw.integers("y", (draw.sizes["rows"], draw.sizes["width"]), 2).to(draw.dtype)


def size(name: str, least: int = 0) -> Callable[[Draw], int]:
    return lambda draw: max(draw.sizes[name], least)


def some(*choices: Any) -> Callable[[Draw], Any]:
    """One of these settings."""
    return lambda draw: draw.choose(str(choices), choices)


def number(value: Any) -> Callable[[Draw], Any]:
    return lambda draw: value


def scalar(name: str, zeros: bool = False) -> Callable[[Draw], Tensor]:
    """A positive number, as a tensor."""
    return lambda draw: draw.positive(name, zeros=zeros)


def spread(draw: Draw) -> Tensor:
    """A positive semi-definite matrix."""
    x = draw.rows("x", draw.sizes["rows"], draw.sizes["width"], differentiable=False).double()
    wide = torch.promote_types(draw.narrow, torch.float32)
    return draw.leaf("gram", (x.T @ x).to(wide).to(torch.promote_types(draw.dtype, wide)))


def linear(name: str, width: str) -> Callable[[Draw], nn.Linear | None]:
    """A classifier of hidden rows, or None: they are logits."""

    def make(draw: Draw) -> nn.Linear | None:
        given = draw.choose("classifier", (True, False))
        return nn.Linear(draw.sizes[width], draw.sizes["width"]).to(draw.dtype) if given else None

    return make


def lists(name: str, columns: int) -> Callable[[Draw], Lists]:
    def make(draw: Draw) -> Lists:
        users = torch.arange(USERS)[: draw.sizes["rows"]]
        picks = torch.stack([torch.randperm(ITEMS, generator=draw.generator(f"{name}{u}"))[:columns] for u in range(USERS)])
        return Lists(users, picks[: draw.sizes["rows"]])

    return make


def interactions(draw: Draw) -> Interactions:
    return Interactions.from_pairs(torch.tensor([0, 1, 1, 3]), torch.tensor([1, 2, 5, 0]), USERS, ITEMS)


def table(name: str, count: int, width: str) -> Callable[[Draw], Tensor]:
    return lambda draw: draw.rows(name, count, draw.sizes[width])


def tensor_pair(first: Callable[[Draw], Tensor], second: Callable[[Draw], Tensor]) -> Callable[[Draw], Any]:
    return lambda draw: (first(draw), second(draw))


def contrast(draw: Draw) -> CRCD | None:
    if draw.choose("contrast", (True, False)):
        return None
    width, other = draw.sizes["width"], draw.sizes["teacher_width"]
    return CRCD(max(draw.sizes["rows"], 2), width, other, 3, negatives=2).to(draw.dtype)


NAMES: dict[str, Callable[[Draw], Any]] = {
    # ---------------------------------------------------------------- tensors
    "student": student,
    "teacher": teacher,
    "x": student,
    "y": labels,
    "a": rows("a"),
    "b": rows("b", "teacher_width"),
    "first": rows("first"),
    "second": rows("second"),
    "anchor": rows("anchor"),
    "positive": rows("positive"),
    "negative": rows("negative"),
    "candidate": rows("candidate", more=2),
    "memory": constant(rows("memory", least=1)),
    "index": lambda draw: draw.integers("index", (draw.sizes["rows"], 3), max(draw.sizes["rows"], 1)),
    "negatives": lambda draw: draw.integers("negatives", (draw.sizes["rows"], 3), max(draw.sizes["rows"], 1)),
    "own": lambda draw: draw.integers("own", (draw.sizes["rows"],), draw.sizes["rows"]),
    "labels": labels,
    "regions": labels,
    "edge_index": lambda draw: draw.edge_index(draw.sizes["rows"]),
    "layout": layout,
    "teacher_log_prob": log_prob,
    "log_normaliser": lambda draw: torch.zeros((), dtype=draw.dtype),
    "weight": OMIT,
    "values": edges("values"),
    "n_id": lambda draw: torch.arange(draw.sizes["rows"]),
    "batch": OMIT,
    # ---------------------------------------------------------------- sizes and settings
    "num_nodes": size("rows", 2),
    "student_width": size("width"),
    "teacher_width": size("teacher_width"),
    "teacher_widths": lambda draw: [1, draw.sizes["teacher_width"] - 1],
    "hidden_width": some(None, 3),
    "classes": size("width"),
    "width": size("width"),
    "projection": number(3),
    "inner": number(3),
    "dimension": number(4),
    "samples": number(4),
    "negatives_count": number(3),
    "max_samples": some(None, None, 2),
    "neighbours": number(2),
    "k": number(2),
    "power": OMIT,
    "teacher_kernel": OMIT,
    "kernel_eps": OMIT,
    "head": OMIT,
    "error_range": OMIT,
    "class_weights": OMIT,
    "weights": OMIT,
    "ground": some("discrete", "ordered"),
    "share": OMIT,
    "collapse": some(None, 0.5),
    "num_regions": OMIT,
    "gathered": OMIT,
}

SUBJECT: dict[str, Callable[[Draw], Any]] = {
    # ---------------------------------------------------------------- kernels
    "kernels.*.teacher": taught,
    "kernels.affinity_sums.kernel": some("dot", "cosine", "exponential", "rbf", "student_t"),
    "kernels.affinity_divergence.kernel": some("cosine", "exponential", "rbf", "student_t"),
    "kernels.affinity_sums.eps": some(0.0, 1e-6),
    "kernels.affinity_divergence.eps": some(0.0, 1e-6),
    "kernels.affinity_divergence.diagonal": some(True, False),
    "kernels.affinity_divergence.student": lambda draw: _density(draw, "student")[0],
    "kernels.affinity_divergence.teacher": lambda draw: _density(draw, "teacher")[0],
    "kernels.affinity_divergence.student_sums": lambda draw: _density(draw, "student")[1],
    "kernels.affinity_divergence.teacher_sums": lambda draw: _density(draw, "teacher")[1],
    "kernels.distance_divergence.student_scale": scalar("student_scale", zeros=True),
    "kernels.distance_divergence.teacher_scale": scalar("teacher_scale", zeros=True),
    "kernels.squared_distance_divergence.student_scale": scalar("student_scale", zeros=True),
    "kernels.squared_distance_divergence.teacher_scale": scalar("teacher_scale", zeros=True),
    "kernels.edge_dot.y": rows("y"),
    "kernels.edge_spmm.y": rows("y"),
    "kernels.edge_kl.student": edges("student"),
    "kernels.segment_log_softmax.scores": edges("scores"),
    "kernels.power_divergence.student": edges("student"),
    "kernels.power_divergence.teacher": lambda draw: edges("teacher")(draw),
    "kernels.power_divergence.num_nodes": size("rows"),
    "kernels.power_divergence.power": some(1, 2, 3),
    "kernels.edge_layout.num_nodes": size("rows"),
    "kernels.gram.weight": some(None),
    "kernels.gram_distance.aa": lambda draw: _grams(draw)[0],
    "kernels.gram_distance.bb": lambda draw: _grams(draw)[1],
    "kernels.gram_distance.ab": lambda draw: _grams(draw)[2],
    "kernels.row_forms.form": lambda draw: draw.rows("form", draw.sizes["width"], draw.sizes["teacher_width"]),
    "kernels.infonce.temperature": some(0.07, 0.5),
    "kernels.label_divergence.candidate": rows("candidate"),
    "kernels.label_divergence.hit": lambda draw: torch.full((draw.sizes["rows"],), -1.0, dtype=draw.dtype),
    "kernels.label_divergence.miss": number(-4.0),
    "kernels.product_softplus.own": lambda draw: draw.integers("own", (draw.sizes["rows"],), draw.sizes["rows"]),
    "kernels.product_kl.student_candidate": rows("student_candidate", more=2),
    "kernels.product_kl.teacher_candidate": rows("teacher_candidate", "teacher_width", more=2),
    "kernels.sampled_softplus.shift": lambda draw: torch.zeros((), dtype=draw.dtype),
    "kernels.log_quotient.gram": spread,
    "kernels.log_quotient.ridge": some(0.1, 1.0),
    "kernels.nearest_rows.count": number(2),
    "kernels.similar_rows.count": number(2),
    "kernels.race_top_k.log_weights": rows("log_weights"),
    "kernels.race_top_k.clock": lambda draw: draw.positive("clock", draw.sizes["rows"], draw.sizes["width"]),
    "kernels.race_top_k.k": number(1),
    "kernels.ranking_log_likelihood.scores": rows("scores"),
    "kernels.ranking_log_likelihood.rest": lambda draw: _rest(draw),
    "kernels.ranking_log_likelihood.floor": some(0.0, 1e-5),
    "kernels.series_divergence.coefficients": some((0.0, 1.0), (0.5, 1.0, 0.5), (0.0, 0.0, 1.0), (0.0, 1.0, 0.5, 0.1)),
    "kernels.transport.marginals": lambda draw: draw.positive("marginals", 2, draw.sizes["rows"], draw.sizes["classes"], zeros=True),
    "kernels.transport.cost": lambda draw: 1 - torch.eye(draw.sizes["classes"], dtype=draw.dtype),
    # ---------------------------------------------------------------- losses
    "losses.BCE.y": several_hot,
    "losses.binary_cross_entropy.y": several_hot,
    "losses.SRRL.weight": lambda draw: _classifier(draw),
    "losses.srrl.weight": lambda draw: _classifier(draw),
    "losses.softmax_regression.weight": lambda draw: _classifier(draw),
    "losses.cmpc.weight": lambda draw: draw.rows("weight", draw.sizes["width"], draw.sizes["width"]),
    "losses.cross_entropy_gradient.features": rows("features"),
    "losses.cross_entropy_gradient.weight": some(None),
    "losses.irg_transform.teacher": lambda draw: (teacher(draw), teacher(draw) * 2),
    "losses.CRD.negatives": number(3),
    "losses.CRCD.negatives": number(3),
    "losses.HKD.negatives": number(3),
    **{f"losses.{name}.forward.negatives": index("negatives", 3, 1) for name in ("CRD", "CRCD", "HKD")},
    "losses.HKD.labels": OMIT,
    "losses.InterRegionAffinity.regions": some("labels", "teacher", "soft"),
    "losses.InterRegionAffinity.forward.regions": labels,
    "losses.cirkd_memory.memory": constant(rows("memory", "teacher_width", least=1)),
    "losses.attentive_hint.output": numbers,
    "losses.outlier_rejection.imitation": rows("imitation"),
    "losses.prediction_graph.logits": student,
    "losses.CRCDGradient.student_classifier": linear("student_classifier", "width"),
    "losses.CRCDGradient.teacher_classifier": linear("teacher_classifier", "teacher_width"),
    "losses.CRCDGradient.contrast": contrast,
    "losses.attention_transfer.power": some(1.0, 2.0, 4.0),
    "losses.AT.power": some(1.0, 2.0, 4.0),
    "losses.GKD.neighbours": some(None, 2),
    "losses.gkd.neighbours": some(None, 2),
    "losses.bank_contrast.negatives": index("negatives", 3, 1),
    "losses.vid.mean": rows("mean"),
    "losses.vid.variance": lambda draw: draw.positive("variance", draw.sizes["width"]),
    "losses.disagreement.made": rows("made"),
    "losses.logits_graph.teachers": lambda draw: torch.stack([teacher(draw)] * 2),
    "losses.logits_adjacency.teachers": lambda draw: torch.stack([teacher(draw)] * 2),
    **dict.fromkeys(("losses.LogEuclidean.ridge", "losses.log_euclidean.ridge"), number(0.1)),
    "losses.is_confident.threshold": number(0.9),
    # ---------------------------------------------------------------- recommenders
    "recsys.RCEKD.own": lists("own", 2),
    "recsys.RCEKD.mixed": lists("mixed", 4),
    "recsys.HetComp.interactions": interactions,
    "recsys.HetComp.tops": lists("tops", 2),
    "recsys.HetComp.known": lists("known", 2),
    "recsys.*.student_dim": size("width"),
    "recsys.*.teacher_dim": size("teacher_width"),
    "recsys.*.experts": number(3),
    "recsys.*.groups": number(3),
    "recsys.*.gumbel": OMIT,
    "recsys.*.temperature": OMIT,
    "recsys.*.users": lambda draw: draw.integers("users", (draw.sizes["rows"],), USERS),
    "recsys.*.positives": lambda draw: draw.integers("positives", (draw.sizes["rows"],), ITEMS),
    "recsys.*.negatives": lambda draw: draw.integers("negatives", (draw.sizes["rows"],), ITEMS),
    "recsys.RD.num_items": number(ITEMS),
    "recsys.*.ratings": lambda draw: (draw.integers("ratings", (draw.sizes["rows"], draw.sizes["width"]), 3) - 1).to(draw.dtype),
    "recsys.*.logged": several_hot,
    "recsys.*.sampled": several_hot,
    "recsys.Clicks.y": several_hot,
    "recsys.CrossDistil.y": several_hot,
    "recsys.CrossDistil.student": lambda draw: (rows("logits", "two")(draw), rows("ranking", "two")(draw)),
    "recsys.LearnedConfidence.entries": lambda draw: torch.arange(draw.sizes["rows"]),
    "recsys.LearnedConfidence.shape": lambda draw: (draw.sizes["rows"], draw.sizes["width"]),
}

# Entries of views that are not rows of the student's or the teacher's width, by subject and name.
ENTRIES: dict[str, Callable[[Draw, str], Tensor]] = {
    **{
        f"recsys.{subject}": lambda draw, name: table(name, USERS if name.endswith("user") else ITEMS, "width")(draw)
        for subject in ("FTD", "HTD", "DE", "HetComp")
    },
}


def _grams(draw: Draw) -> tuple[Tensor, ...]:
    if "aa" not in draw.leaves:
        a, b = (draw.rows(name, draw.sizes["rows"], draw.sizes["width"], differentiable=False).double() for name in "ab")
        for name, one, other in (("aa", a, a), ("bb", b, b), ("ab", a, b)):
            draw.leaf(name, one.T @ other)
    return tuple(draw.leaves[name] for name in ("aa", "bb", "ab"))


def _density(draw: Draw, side: str) -> tuple[Tensor, Tensor]:
    """Rows, unit ones for cosines, and their row sums of the kernel."""
    kernel, eps, diagonal = (SUBJECT[f"kernels.affinity_divergence.{name}"](draw) for name in _OF_DENSITY)
    x = draw.leaf(side, NAMES[side](draw).detach())
    if x.dim() == 1:
        return x, x
    x = unit_vectors(x) if kernel == "cosine" else x
    return x, affinity_sums(x, kernel, eps=eps, diagonal=diagonal)


def _rest(draw: Draw) -> Tensor:
    rest = draw.rows("rest", draw.sizes["rows"], differentiable=False)
    if draw.choose("no rest", (True, False, False)):
        rest = torch.full_like(rest, -torch.inf)
    return draw.leaf("rest", rest)


def _classifier(draw: Draw) -> Tensor:
    """Weights of a teacher's classifier, constant and of an ordinary size."""
    shape = draw.sizes["classes"], draw.sizes["teacher_width"]
    return draw.rounded(torch.randn(shape, generator=draw.generator("classifier"), dtype=torch.float64))
