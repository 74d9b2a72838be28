"""What a parameter is given, by its name; for some subjects by subject and name, ``"losses.GCRD.temperature"``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from recsys.data.entity_graphs import nearest
from tests.fuzz.draw import Draw
from tests.fuzz.given import (
    DENSITY,
    ITEMS,
    USERS,
    classifier,
    constant,
    contrast,
    density,
    edge_kernel,
    edges,
    grams,
    index,
    interactions,
    labels,
    layout,
    linear,
    lists,
    log_prob,
    number,
    numbers,
    rest,
    rows,
    scalar,
    several_hot,
    size,
    some,
    spread,
    student,
    table,
    taught,
    teacher,
)

OMIT = object()  # take the default

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
    "shape": lambda draw: (draw.sizes["rows"], draw.sizes["width"]),
}

SUBJECT: dict[str, Callable[[Draw], Any]] = {
    # ---------------------------------------------------------------- kernels
    "kernels.*.teacher": taught,
    "kernels.affinity_sums.kernel": some("dot", "cosine", "exponential", "rbf", "student_t"),
    **{f"kernels.affinity_divergence.{name}": choose for name, choose in DENSITY.items()},
    "kernels.affinity_sums.eps": some(0.0, 1e-6),
    "kernels.affinity_divergence.student": lambda draw: density(draw, "student")[0],
    "kernels.affinity_divergence.teacher": lambda draw: density(draw, "teacher")[0],
    "kernels.affinity_divergence.student_sums": lambda draw: density(draw, "student")[1],
    "kernels.affinity_divergence.teacher_sums": lambda draw: density(draw, "teacher")[1],
    "kernels.distance_divergence.student_scale": scalar("student_scale", zeros=True),
    "kernels.distance_divergence.teacher_scale": scalar("teacher_scale", zeros=True),
    "kernels.squared_distance_divergence.student_scale": scalar("student_scale", zeros=True),
    "kernels.squared_distance_divergence.teacher_scale": scalar("teacher_scale", zeros=True),
    "kernels.edge_dot.y": rows("y"),
    "kernels.edge_spmm.y": rows("y"),
    "kernels.edge_kl.student": edges("student"),
    "kernels.segment_log_softmax.scores": edges("scores"),
    "kernels.power_divergence.student": edges("student"),
    "kernels.power_divergence.teacher": edges("teacher"),
    "kernels.power_divergence.num_nodes": size("rows"),
    "kernels.power_divergence.power": some(1, 2, 3),
    "kernels.edge_layout.num_nodes": size("rows"),
    "kernels.gram.weight": some(None),
    "kernels.gram_distance.aa": lambda draw: grams(draw)[0],
    "kernels.gram_distance.bb": lambda draw: grams(draw)[1],
    "kernels.gram_distance.ab": lambda draw: grams(draw)[2],
    **{
        f"{name}.kernel": edge_kernel
        for name in ("kernels.local_structure_kl", "losses.LSP", "losses.lsp", "losses.local_structure")
    },
    "kernels.row_forms.form": lambda draw: draw.rows("form", draw.sizes["width"], draw.sizes["teacher_width"]),
    "kernels.infonce.temperature": some(0.07, 0.5),
    "kernels.label_divergence.candidate": rows("candidate"),
    "kernels.label_divergence.hit": lambda draw: torch.full((draw.sizes["rows"],), -1.0, dtype=draw.dtype),
    "kernels.label_divergence.miss": number(-4.0),
    "kernels.product_softplus.own": lambda draw: draw.integers("own", (draw.sizes["rows"],), draw.sizes["rows"]),
    "kernels.product_kl.student_candidate": rows("student_candidate", more=2),
    "kernels.product_kl.teacher_candidate": rows("teacher_candidate", "teacher_width", more=2),
    **{
        f"kernels.counted_{name}.counts": lambda draw: draw.integers(
            "counts", (draw.sizes["rows"], max(draw.sizes["rows"], 1)), 3
        )
        for name in ("logsumexp", "softplus")
    },
    "kernels.counted_softplus.shift": lambda draw: torch.zeros((), dtype=draw.dtype),
    "kernels.sampled_softplus.shift": lambda draw: torch.zeros((), dtype=draw.dtype),
    "kernels.log_quotient.gram": spread,
    "kernels.log_quotient.ridge": some(0.1, 1.0),
    "kernels.nearest_rows.count": number(2),
    "kernels.similar_rows.count": number(2),
    "kernels.race_top_k.log_weights": rows("log_weights"),
    "kernels.race_top_k.clock": lambda draw: draw.positive("clock", draw.sizes["rows"], draw.sizes["width"]),
    "kernels.race_top_k.k": number(1),
    "kernels.ranking_log_likelihood.scores": rows("scores"),
    "kernels.ranking_log_likelihood.rest": lambda draw: rest(draw),
    "kernels.ranking_log_likelihood.floor": some(0.0, 1e-5),
    "kernels.series_divergence.coefficients": some((0.0, 1.0), (0.5, 1.0, 0.5), (0.0, 0.0, 1.0), (0.0, 1.0, 0.5, 0.1)),
    "kernels.transport.marginals": lambda draw: draw.positive(
        "marginals", 2, draw.sizes["rows"], draw.sizes["classes"], zeros=True
    ),
    "kernels.transport.cost": lambda draw: 1 - torch.eye(draw.sizes["classes"], dtype=draw.dtype),
    # ---------------------------------------------------------------- losses
    "losses.BCE.y": several_hot,
    "losses.binary_cross_entropy.y": several_hot,
    "losses.SRRL.weight": lambda draw: classifier(draw),
    "losses.srrl.weight": lambda draw: classifier(draw),
    "losses.softmax_regression.weight": lambda draw: classifier(draw),
    "losses.cmpc.weight": lambda draw: draw.rows("weight", draw.sizes["width"], draw.sizes["width"]),
    "losses.cross_entropy_gradient.features": rows("features"),
    "losses.cross_entropy_gradient.weight": some(None),
    **{
        f"losses.{name}.teacher": lambda draw: (teacher(draw), teacher(draw) * 2)
        for name in ("fsp", "irg_transform", "irg_edge_transform")
    },
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
    "recsys.*.user_graph": lambda _: nearest(torch.arange(USERS)[:, None].float(), 2),
    "recsys.*.item_graph": lambda _: nearest(torch.arange(ITEMS)[:, None].float(), 2),
    "recsys.*.kept": OMIT,
    "recsys.*.self_weights": OMIT,
    "recsys.PCKD.preferred": lambda draw: draw.integers("preferred", (draw.sizes["rows"], 3), ITEMS),
    "recsys.PCKD.copies": OMIT,
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
    **{
        f"recsys.DLLM2Rec.{name}": lambda draw, name=name: draw.integers(name, (draw.sizes["rows"],), ITEMS - 1) + 1
        for name in ("targets", "unseen")
    },
    "recsys.DLLM2Rec.taught": lambda draw: draw.integers("taught", (draw.sizes["rows"], 2), ITEMS - 1) + 1,
    "recsys.DLLM2Rec.distances": lambda draw: draw.positive("distances", draw.sizes["rows"], 2, differentiable=False),
    "recsys.DLLM2Rec.shares": number((0.3, 0.5, 0.0)),  # agreement is a step of the scores
    "recsys.DLLM2Rec.item_weights": OMIT,
    "recsys.DLLM2Rec.candidates": OMIT,
    "recsys.SLMRec.blocks": number(2),
    "recsys.LightGNN.deep": OMIT,
    "recsys.LightGNN.masks": OMIT,
    "recsys.LightGNN.contrast_weight": number(0.0),  # of deep layers
    "recsys.LightGNN.soft_temperature": number(1.0),
    "recsys.LightGNN.triples": number(20),
    "recsys.*.users": lambda draw: draw.integers("users", (draw.sizes["rows"],), USERS),
    "recsys.*.positives": lambda draw: draw.integers("positives", (draw.sizes["rows"],), ITEMS),
    "recsys.*.negatives": lambda draw: draw.integers("negatives", (draw.sizes["rows"],), ITEMS),
    "recsys.RD.num_items": number(ITEMS),
    "recsys.NextItem.targets": labels,
    "recsys.NextItem.candidates": OMIT,
    "recsys.*.ratings": lambda draw: (draw.integers("ratings", (draw.sizes["rows"], draw.sizes["width"]), 3) - 1).to(
        draw.dtype
    ),
    "recsys.*.logged": several_hot,
    "recsys.*.sampled": several_hot,
    "recsys.Clicks.y": several_hot,
    "recsys.CrossDistil.y": several_hot,
    "recsys.LearnedConfidence.entries": lambda draw: torch.arange(draw.sizes["rows"]),
}

# Entries of views that are not rows of the student's or the teacher's width, by subject and name.
ENTRIES: dict[str, Callable[[Draw, str], Tensor]] = {
    **{
        f"recsys.{subject}": lambda draw, name: table(name, USERS if name.endswith("user") else ITEMS, "width")(draw)
        for subject in ("FTD", "HTD", "DE", "PCKD", "FreqD", "GraphD", "HetComp", "LightGNN")
    },
    "recsys.SLMRec": lambda draw, name: draw.rows(
        name, draw.sizes["rows"], 3 if name.startswith("student") else 5, draw.sizes["width"]
    ),
    "recsys.DLLM2Rec": lambda draw, name: draw.rows(
        name,
        ITEMS if name.endswith("item") else draw.sizes["rows"],
        ITEMS if name.endswith("logits") else draw.sizes["width"],
    ),
    "recsys.RCEKD": lambda draw, name: draw.rows(
        name, min(USERS, draw.sizes["rows"]), 2 if name.endswith("own") else 4
    ),
}
