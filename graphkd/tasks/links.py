"""Link prediction: a score for every pair of nodes, whether an edge joins them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphkd.core.adjacency import edge_index_of
from graphkd.core.batches import batches, changed, first_batch, mapped
from graphkd.core.by_name import Inputs
from graphkd.core.loss import Loss
from graphkd.core.task import Part, Task
from graphkd.core.view import Batch, Call, Viewer, names
from graphkd.losses.response.bce import BCE
from graphkd.losses.response.soft_bce import SoftBCE
from graphkd.tasks.link_metrics import check_link_metrics, link_scores
from graphkd.tasks.link_types import EdgeType, end_rows, has, message_edges, typed_links
from graphkd.tasks.metrics import answers, check_any, tensor_of
from graphkd.tasks.negatives import WithNegatives
from graphkd.tasks.splits import MASKS

_PAIRS = "edge_label_index"


@dataclass(frozen=True)
class LinkPrediction(Task):
    """Predict whether an edge joins pairs of nodes: ``edge_label_index`` (2, M), ``edge_label`` (M,) of 0 and 1.

    Data have the form of PyG's ``RandomLinkSplit`` and ``LinkNeighborLoader``; messages pass along ``edge_index``. If
    the training pairs of a single graph are edges only (``add_negative_train_samples=False``, or no
    ``edge_label_index``, which makes all edges the pairs), as many pairs without an edge are drawn for each epoch.
    val, test: the other parts of the split, one batch each, or loaders.

    A model is an encoder, ``forward(x, edge_index)`` -> embeddings (N, d), whose inner products are the scores; or it
    has ``encode(x, edge_index)`` and ``decode(z, edge_label_index)``; or it takes ``edge_label_index`` and answers
    scores (M,). The result of ``call`` is scores if it is (M,) or (M, 1), else embeddings. A view has the scores as
    ``logits``, and embeddings as ``node``.
    metrics: "auc", "average_precision", "hits@K" (share of edges scored above the K-th best pair without an edge, for
    any K), and "mrr" (mean reciprocal rank of each edge among its own negatives, ties counting half); the first chooses
    epochs. "mrr" reads ``ranking_negatives`` (P, 2K) of the data: for each of the P edges among the pairs, K other
    targets for its source, then K other sources for its target.
    edge_type: of heterogeneous data, the type of edges to predict, ``("user", "rates", "film")``, as split by
    ``RandomLinkSplit(edge_types=[...], rev_edge_types=[...])``. A model takes ``x_dict`` and ``edge_index_dict``, or is
    made by ``to_hetero``, and answers embeddings by node type; the scores are inner products across the two ends.
    ``decode`` gets the embeddings of all types. A model of ``x`` alone gets the features of the ends' type, if both
    ends have the same.

    Example::

        >>> from torch_geometric.transforms import RandomLinkSplit
        >>> train, val, test = RandomLinkSplit(add_negative_train_samples=False)(data)
        >>> task = LinkPrediction(val=val, test=test, metrics=("auc", "hits@5"))
        >>> result = graphkd.distil("kd", student, teacher, train, task=task, epochs=2, progress=False)
        >>> sorted(result.scores["test"])
        ['auc', 'hits@5']
    """

    kind: ClassVar[str] = "link_prediction"
    labelled: ClassVar[str] = "labelled"

    val: Any = None
    test: Any = None
    metrics: tuple[str, ...] = ("auc", "average_precision", "hits@20")
    edge_type: EdgeType | None = None

    def __post_init__(self) -> None:
        check_link_metrics(self.metrics)

    def call(self, call: Call | None) -> Call | None:
        """Return a call that scores the pairs of a batch, from the model's node embeddings where it gives these."""
        ours = isinstance(call, partial) and call.func is _paired  # the runner has wrapped it already
        return call if ours else partial(_paired, self.edge_type, call)

    def prepare(self, data: Any) -> Any:
        """Return batches with pairs, labels (M, 1) as ``y`` and ``labelled``; draw negatives if one graph has none."""
        if isinstance(data, tuple) and all(names(each) is not None for each in data):
            raise ValueError(
                f"'data' is a tuple of {len(data)} graphs, as RandomLinkSplit returns: give its first as data and the "
                "others to the task, LinkPrediction(val=..., test=...)"
            )
        first = typed_links(first_batch(data), self.edge_type)
        if names(data) is not None and self._lacks_negatives(first):
            edges = tensor_of(first, _PAIRS) if has(first, _PAIRS) else message_edges(first, self.edge_type)
            return WithNegatives(_without_labels(first), edges, self._prepared, self.edge_type)
        return mapped(data, self._prepared)

    def supervised(self, where: str | None = None) -> Loss:
        """Make the binary cross-entropy of the pairs' labels, edge or none."""
        return _of_any_scores(BCE(where=where or self.labelled))

    def soft(self, temperature: float = 1.0, where: str | None = None) -> Loss:  # noqa: ARG002 - a chance is not softened
        """Make the binary cross-entropy with the teacher's probability of an edge."""
        return _of_any_scores(SoftBCE(where=where))

    def targets(self, batch: Any) -> Tensor:
        """Tell whether an edge joins each pair, (M,)."""
        return batch["y"][:, 0]

    def has(self, part: Part, data: Any) -> bool:  # noqa: ARG002 - a part has pairs of its own
        """Tell whether there is this part of the split."""
        return self._part(part) is not None

    def score(self, model: nn.Module, data: Any, part: Part = "test", call: Call | None = None) -> dict[str, float]:  # noqa: ARG002
        """Evaluate a model on the pairs of a part."""
        found = list(self._answered(model, self._part(part), call))
        check_any(len(found), part, "batch")
        scores, labels, ranked = zip(*found, strict=True)
        return link_scores(self.metrics, torch.cat(scores), torch.cat(labels), [each for each in ranked if len(each)])

    def _answered(self, model: nn.Module, data: Any, call: Call | None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield scores and labels of the pairs of every batch, and the score of each edge before its negatives'."""
        for given in batches(data):
            batch = self._prepared(given)
            asked, labels = batch["edge_label_index"], batch["y"][:, 0].cpu()
            ranked = asked.new_empty(0, 0)
            if "mrr" in self.metrics:
                ranked = _candidates(asked[:, labels.to(asked.device) > 0], tensor_of(batch, "ranking_negatives"))
                asked = torch.cat([asked, ranked.flatten(1)], dim=1)
            scores = answers(model, changed(batch, edge_label_index=asked), self.call(call)).reshape(-1).cpu()
            if scores.numel() != asked.size(1):
                raise ValueError(f"a model must answer each of {asked.size(1)} pairs, got {scores.numel()} scores")
            yield scores[: len(labels)], labels, scores[len(labels) :].view(ranked.shape[1:])

    def _part(self, part: Part) -> Any:
        return self.val if part == "val" else self.test

    def _lacks_negatives(self, batch: Any) -> bool:
        if not (has(batch, _PAIRS) and has(batch, "edge_label")):
            return True
        return bool((tensor_of(batch, "edge_label") > 0).all())

    def _prepared(self, given: Batch) -> Any:
        batch = typed_links(given, self.edge_type)
        missing = [name for name in (_PAIRS, "edge_label") if not has(batch, name)]
        if missing:
            raise ValueError(
                f"link prediction needs {missing} in the data, which have {names(batch)}: split edges by PyG's "
                "RandomLinkSplit, split_labels=False, or give 'task', one of graphkd.tasks"
            )
        labels = tensor_of(batch, "edge_label")
        pairs = tensor_of(batch, "edge_label_index")
        if pairs.shape != (2, labels.numel()) or not bool(((labels == 0) | (labels == 1)).all()):
            raise ValueError(
                f"'edge_label_index' must be (2, M) and 'edge_label' (M,) of 0 and 1, got {tuple(pairs.shape)} and "
                f"{tuple(labels.shape)} from {labels.min()} to {labels.max()}: for weights use edge_label.gt(0).float()"
            )
        wide = labels.reshape(-1, 1).to(torch.get_default_dtype())
        known = torch.ones(len(wide), dtype=torch.bool, device=wide.device)
        return changed(_without_labels(batch), y=wide, **{self.labelled: known})


def _of_any_scores(loss: BCE | SoftBCE) -> Loss:
    """Accept scores that are all in [0, 1]: they are inner products of small rows, not probabilities."""
    loss.answers = None
    return loss


def _without_labels(batch: Any) -> Any:
    """Copy data without the labels and masks of nodes, which do not concern the pairs."""
    others = changed(batch)
    for name in ("y", *MASKS.values()):
        if has(others, name):
            del others[name]
    if has(others, "adj_t") and not has(others, "edge_index"):
        others["edge_index"] = edge_index_of(others["adj_t"])
    return others


def _paired(edge_type: EdgeType | None, call: Call | None, model: nn.Module, batch: Batch) -> Mapping[str, Any]:
    """Return a model's view with one score per pair as ``logits``: its own, or inner products of embeddings."""
    pairs: Any = batch["edge_label_index"]
    decode = getattr(model, "decode", None)
    if call is None and callable(getattr(model, "encode", None)) and callable(decode):
        nodes = Viewer(model, call=_encoded)(batch)
        if "logits" not in nodes:  # by type
            return {**nodes, "logits": decode(dict(nodes), pairs).reshape(-1, 1)}
        return {"logits": decode(nodes["logits"], pairs).reshape(-1, 1), "node": nodes["logits"]}
    viewer = Viewer(model, call=call)
    view = viewer(batch)
    shown = view.get("logits")
    taken = shown is not None and call is None and _PAIRS in viewer.taken(batch)
    if shown is not None and (taken or (call is not None and (shown.dim() == 1 or shown.size(1) == 1))):
        return {**view, "logits": shown.reshape(-1, 1)}
    ends = end_rows(view, edge_type)
    if ends is None:
        return view
    scores = (ends[0][pairs[0]] * ends[1][pairs[1]]).sum(dim=-1, keepdim=True)
    return {**view, "logits": scores, **({} if shown is None else {"node": shown})}


def _encoded(model: Any, batch: Batch) -> Any:
    given, _ = Inputs(model.encode).of(batch, f"{type(model).__name__}.encode")
    return model.encode(**given)


def _candidates(edges: Tensor, negatives: Tensor) -> Tensor:
    """List the pairs to rank each edge among, itself first: (2, P), (P, 2K) -> (2, P, 1 + 2K)."""
    count, width = negatives.shape
    if count != edges.size(1) or width % 2:
        raise ValueError(
            f"'ranking_negatives' must hold K other targets and K other sources for each of {edges.size(1)} edges, "
            f"(P, 2K), got {tuple(negatives.shape)}"
        )
    targets, sources = negatives.to(edges.device).chunk(2, dim=1)
    source, target = (end[:, None] for end in edges)
    first = torch.cat([source, source.expand_as(targets), sources], dim=1)
    return torch.stack([first, torch.cat([target, targets, target.expand_as(sources)], dim=1)])
