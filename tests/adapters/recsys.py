"""Adapters of the cases of ranking distillation: rename, call, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from graphkd import Loss
from recsys import Interactions
from recsys.losses import BPR, CD, DE, FTD, HTD, RD, RRD, ItemRRD, RoutedExperts, UnKD
from recsys.losses._tables import Triplets
from recsys.losses.dcd import rank_discrepancy
from recsys.losses.htd import htd
from recsys.losses.log_loss import log_loss
from recsys.losses.rd import rd, rd_weights
from recsys.losses.rrd import rrd
from recsys.models import Lists, RecommenderView, Tables
from recsys.sources import TopLists
from recsys.sources.unkd import pairs_per_group, popularity_groups
from tests.adapters.graph import load
from tests.adapters.params import settings

Inputs = dict[str, Tensor]
EXPERTS = {name: f"expert_{name}" for name in ("w1", "b1", "w2", "b2")} | {name: name for name in ("gate_w", "gate_b")}
INTERESTING = {"interesting": "interesting_items", "uninteresting": "uninteresting_items"}
TOPOLOGIES = {"first": "P,P", "second": "P,e"}


def tables(inputs: Inputs, side: str) -> tuple[Tensor, Tensor]:
    return inputs[f"{side}_user_embeddings"], inputs[f"{side}_item_embeddings"]


def evaluate(losses: Loss, inputs: Inputs, entries: dict[str, Any]) -> tuple[Tensor, list[Tensor]]:
    """A weighted sum of losses, and its terms, on the views that two models of tables show for a batch."""
    batch = triplets(inputs) | entries
    student = RecommenderView(Tables(*tables(inputs, "student")), batch)
    terms = []
    for _, loss in losses.parts():
        digest = None
        if loss.needs_teacher:
            digest = loss.digest_view(RecommenderView(Tables(*tables(inputs, "teacher")), batch), batch)
        terms.append(loss.measure(student, digest, batch))
    return sum(weight * term for (weight, _), term in zip(losses.parts(), terms, strict=True)), terms


def triplets(inputs: Inputs) -> dict[str, Any]:
    """The facts of a batch; cases without training triplets have tables of the same names."""
    users = inputs["users"]
    batch: dict[str, Any] = {"users": users, "unique_users": users.unique()}
    for name in ("positive", "negative"):
        items = inputs.get(f"{name}_items")
        if items is not None and items.shape == users.shape:
            batch |= {f"{name}s": items, name: Lists(users, items[:, None])}
    return batch


def listed(inputs: Inputs, names: dict[str, str], per: str = "row") -> dict[str, Any]:
    """Entries for the tables (U, n) that a case has of its users' lists."""
    return TopLists({entry: inputs[name] for entry, name in names.items()}, per=per).lists(triplets(inputs))


def reduction(params: dict, default: str) -> str:
    """The first word of the case's reduction."""
    return settings(params, reduction=default)["reduction"].split()[0]


def bpr(inputs: Inputs, params: dict) -> Inputs:
    batch = triplets(inputs)
    view = RecommenderView(Tables(*tables(inputs, "student")), batch)
    loss, _ = evaluate(BPR(reduction=reduction(params, "sum")), inputs, {})
    scores = {f"{side}_scores": view[side].squeeze(1) for side in ("positive", "negative")}
    return {"loss": loss, **scores}


def rd_case(inputs: Inputs, params: dict) -> Inputs:
    # The reference weights lists by position alone, or by position and discrepancy.
    weights = rd_weights(
        inputs["candidate_scores"],
        inputs["dynamic_scores"],
        weighting="static" if params["weighting"] == "static" else "hybrid",
        decay=params["lamda"],
        sharpness=params["mu"],
        num_items=params["num_items"],
        renormalise=bool(params.get("renormalize")),
    )
    regular = log_loss(inputs["positive_scores"], inputs["negative_scores"])
    return {
        "loss": regular + params["teach_alpha"] * rd(inputs["candidate_scores"], weights.weight),
        "regular_loss": regular,
        "weight": weights.weight,
        "weight_static": weights.static,
        "weight_dynamic": weights.dynamic,
    }


def rd_unkd(inputs: Inputs, params: dict) -> Inputs:
    loss = RD.unkd(
        inputs["student_item_embeddings"].size(0),
        start_epoch=params["dynamic_start_epoch"],
        renormalise=params["renormalize"],
        decay=params["lamda"],
        sharpness=params["mu"],
    )
    loss.set_epoch(params["epoch"], params["epoch"] + 1)
    batch = listed(inputs, {"top": "teacher_topk_items", "sampled": "dynamic_items"})
    view = RecommenderView(Tables(*tables(inputs, "student")), batch)
    return {"loss": loss.measure(view, None, batch), "weight": loss.weights(view["top"], view["sampled"]).weight}


def cd(inputs: Inputs, params: dict) -> Inputs:
    params = settings(params, t1=2.0, t2=0.0, eps=1e-10, reduction="mean")
    loss = CD(params["t1"], params["t2"], eps=params["eps"], reduction=reduction(params, "mean"))
    return {"loss": evaluate(loss, inputs, listed(inputs, {"drawn": "sampled_items"}))[0]}


def unkd(inputs: Inputs, params: dict) -> Inputs:
    lists = listed(inputs, {"better": "positive_items", "worse": "negative_items"})
    params = settings(params, eps=1e-10, reduction="mean")
    return {"loss": evaluate(UnKD(eps=params["eps"], reduction=reduction(params, "mean")), inputs, lists)[0]}


def unkd_groups(inputs: Inputs, params: dict) -> Inputs:
    num_items = int(inputs["num_items"])
    group = popularity_groups(inputs["train_items"], num_items, params["group_num"])
    counts = Interactions.from_pairs(
        inputs["train_users"], inputs["train_items"], int(inputs["train_users"].max()) + 1, num_items
    ).counts()
    numbers, share, base = pairs_per_group(group, counts, params["sample_num"], params["lamda"])
    return {
        "group_of_item": group,
        "ratio_before_power": base,
        "ratio": share,
        "pairs_per_group": torch.tensor(numbers),
    }


def rrd_case(inputs: Inputs, params: dict, squash: bool = False) -> Inputs:
    scores = inputs["interesting_scores"], inputs["uninteresting_scores"]
    return {
        "loss": rrd(*scores, reduction=reduction(params, "mean" if squash else "sum"), squash=squash),
        "loss_per_row": rrd(*scores, reduction="none", squash=squash),
    }


def rrd_step(inputs: Inputs, params: dict) -> Inputs:
    lists = listed(inputs, INTERESTING, per="user")
    loss, (base, kd) = evaluate(BPR() + params["URRD_lmbda"] * RRD(), inputs, lists)
    return {"loss": loss, "base_loss": base, "kd_loss": kd, "unique_users": lists["interesting"].users}


def irrrd_step(inputs: Inputs, params: dict) -> Inputs:
    lists = listed(inputs, INTERESTING, per="user")
    items = torch.cat([each.items.flatten() for each in lists.values()]).unique()
    lists |= {name: Lists(inputs[name][items], items) for name in ("interesting_users", "uninteresting_users")}
    losses = BPR() + params["URRD_lmbda"] * RRD() + params["IR_reg_lmbda"] * ItemRRD()
    loss, (base, user, item) = evaluate(losses, inputs, lists)
    return {"loss": loss, "base_loss": base, "user_kd_loss": user, "item_kd_loss": item, "batch_items": items}


def put(experts: RoutedExperts, inputs: Inputs, side: str) -> None:
    """Put what a case has of one side's experts and gate into their places."""
    paths = {path: f"{side}_{name}" for path, name in EXPERTS.items()}
    load(experts, {path: inputs[name] for path, name in paths.items() if name in inputs})


def widths(inputs: Inputs) -> tuple[int, int]:
    return inputs["student_user_embeddings"].size(1), inputs["teacher_user_embeddings"].size(1)


def triplet_tuple(inputs: Inputs) -> Triplets:
    return Triplets(inputs["users"], inputs["positive_items"], inputs["negative_items"])


def noise(inputs: Inputs, names: dict[str, str]) -> Inputs:
    return {ours: inputs[f"gumbel_{theirs}"] for ours, theirs in names.items() if f"gumbel_{theirs}" in inputs}


def de(inputs: Inputs, params: dict) -> Inputs:
    params = settings(params, gate_eps=1e-10)
    experts = params["num_experts"]
    loss = DE(*widths(inputs), experts, temperature=params["temperature"], gate_eps=params["gate_eps"])
    put(loss.users, inputs, "user")
    put(loss.items, inputs, "item")
    names = {"users": "users", "positives": "positive_items", "negatives": "negative_items"}
    batch = triplet_tuple(inputs)
    terms = loss.terms(tables(inputs, "student"), tables(inputs, "teacher"), batch, noise(inputs, names))
    return {
        "loss": loss.total(terms),
        **{f"loss_{name}": term for name, term in zip(names.values(), terms, strict=True)},
        **{f"unique_{name}": ids.unique() for name, ids in zip(names.values(), batch, strict=True)},
    }


def ftd(inputs: Inputs, params: dict) -> Inputs:
    users, items = triplet_tuple(inputs).entities()
    return {"loss": evaluate(FTD(), inputs, {})[0], "unique_users": users, "unique_items": items}


def htd_case(inputs: Inputs, params: dict) -> Inputs:
    loss = HTD.authors(
        *widths(inputs),
        params["K"],
        alpha=params["alpha"],
        topology=TOPOLOGIES[params["choice"]] if params.get("choice") else params["group_topology"],
        temperature=params["temperature"],
        gate_eps=settings(params, gate_eps=1e-10)["gate_eps"],
    )
    put(loss.users, inputs, "user")
    put(loss.items, inputs, "item")
    student, teacher = tables(inputs, "student"), tables(inputs, "teacher")
    batch = triplet_tuple(inputs)
    users, items = batch.entities()
    names = {"users": "users", "items": "items"}
    topology, of_users, of_items = terms = loss.terms(student, teacher, batch, noise(inputs, names))
    slopes = torch.autograd.grad(topology, student, retain_graph=True)
    return {
        "loss": loss.total(terms),
        "td_loss": topology,
        "ga_loss_users": of_users,
        "ga_loss_items": of_items,
        "group_users": loss.users.assign(teacher[0][users]),
        "group_items": loss.items.assign(teacher[1][items]),
        "td_grad_student_user_embeddings": slopes[0],
        "td_grad_student_item_embeddings": slopes[1],
        "unique_users": users,
        "unique_items": items,
    }


def htd_masked(inputs: Inputs, params: dict) -> Inputs:
    loss = HTD(*widths(inputs), params["K"])
    put(loss.users, inputs, "user")
    put(loss.items, inputs, "item")
    chosen = inputs["unique_users"], inputs["unique_items"]
    student, teacher = (
        [table[ids] for table, ids in zip(tables(inputs, side), chosen, strict=True)] for side in ("student", "teacher")
    )
    topology, _, rest = params["group_topology"].partition(" without ")
    groups = loss.assign(*teacher)
    value = htd(
        torch.cat(student),
        torch.cat(teacher),
        torch.cat(groups),
        topology=topology,
        own_group=rest != "own group",
        positive_only=True,
        prototype_grad=False,
    )
    return {"loss": value, "group_users": groups[0], "group_items": loss.items.assign(teacher[1])}


def dcd_weights(inputs: Inputs, params: dict) -> Inputs:
    found = rank_discrepancy(inputs["student_scores_on_teacher_topk"], sharpness=params["ep"])
    return {"under_weights": found.under, "over_weights": found.over, "student_rank_in_list": found.rank}


ADAPTERS: dict[str, Callable[[Inputs, dict], dict[str, Any]]] = {
    "bpr": bpr,
    "cd": cd,
    "dcd_weights": dcd_weights,
    "de": de,
    "ftd": ftd,
    "htd": htd_case,
    "htd_masked": htd_masked,
    "irrrd_step": irrrd_step,
    "rd": rd_case,
    "rd_unkd": rd_unkd,
    "rrd": rrd_case,
    "rrd_step": rrd_step,
    "rrd_unkd": lambda inputs, params: rrd_case(inputs, params, squash=True),
    "unkd": unkd,
    "unkd_groups": unkd_groups,
}
