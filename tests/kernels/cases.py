"""Every kernel beside its reference: one entry here puts a kernel under all tests of ``test_kernels.py``.

The operators that an entry runs, forward and backward, are recorded and put through ``torch.library.opcheck``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from graphkd import kernels
from graphkd.kernels.edges import powers
from graphkd.kernels.pairs import (
    affinities,
    angles,
    contrast,
    cosine_distance,
    counted,
    distance_matrices,
    distances,
    distributions,
    grouped_gram,
    sampled,
    series,
    similarity,
    spectral,
)
from graphkd.kernels.pairs.affinity_divergence import affinity_divergence_reference
from graphkd.kernels.pairs.gram import gram_reference, row_forms_reference
from graphkd.kernels.rankings import likelihood
from tests.kernels import all_pairs, at_once, edge_cases, graph_relations
from tests.kernels.case import Case
from tests.kernels.graphs import Graph


def _dense(function: Callable[..., Tensor], /, **knobs: object) -> Callable[..., Tensor]:
    return lambda *tensors: function(*tensors[:-1], **knobs)


def _by_label(function: Callable[..., Tensor], /, **knobs: object) -> Callable[..., Tensor]:
    """The kernel on tensors, and on a label of every node."""
    return lambda *tensors: function(*tensors[:-1], labels=_labels(tensors[-1]), **knobs)


def _labels(graph: Graph) -> Tensor:
    return torch.arange(graph.num_nodes) % 3


def _matched(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda a, b, graph: function(a, b, _labels(graph), torch.linspace(-2, 0, a.size(0)).to(a.dtype), -4.0)


def _all_but_own(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda a, b, graph: function(a, b, torch.arange(graph.num_nodes).flip(0), 2.0)


def _of_positive(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Rows shorter than 1, so that cosines are positive, and positive sums, in float32 at least as they come."""

    def kernel(student: Tensor, teacher: Tensor, *sums: Tensor, **knobs: object) -> Tensor:
        positive = (row.to(torch.promote_types(row.dtype, torch.float32)).square() + 1 for row in sums)
        return function(student / 8, teacher / 8, *positive, **knobs)

    return kernel


def _sampled(function: Callable[..., Tensor], held: int) -> Callable[..., Tensor]:
    """A memory of ``held`` rows, three of which each anchor sees."""

    def kernel(anchor: Tensor, graph: Graph) -> Tensor:
        width = anchor.size(1)
        memory = (torch.arange(held * width).reshape(held, width) % 7 - 3).to(anchor.dtype) / 4  # exact in any dtype
        index = (torch.arange(graph.num_nodes)[:, None] * 5 + torch.tensor([0, 3, 3])) % held
        return function(anchor, memory, index, anchor.new_tensor(0.5), 2.0)

    return kernel


def _scaled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The kernel with fixed scales."""
    scales = torch.tensor([1.5, 0.75], dtype=torch.float64)
    return lambda student, teacher, graph: function(student, teacher, *scales)


def _flat(matrices: Iterable[Tensor]) -> Tensor:
    return torch.cat([matrix.flatten() for matrix in matrices])


def _grams_reference(a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor) -> tuple[Tensor, ...]:
    one, other = a.double() * a_scale.double()[:, None], b.double() * b_scale.double()[:, None]
    return gram_reference(one, one), gram_reference(other, other), gram_reference(one, other)


CASES: dict[str, Case] = {
    **edge_cases.CASES,
    **at_once.CASES,
    **{
        f"ranking_log_likelihood{'_floor' * bool(floor)}": Case(
            _dense(likelihood.ranking_log_likelihood, floor=floor),
            _dense(likelihood.ranking_log_likelihood_reference, floor=floor),
            ("node", "row"),
        )
        for floor in (0.0, 2.0)
    },
    "gram": Case(
        _dense(kernels.gram),
        _dense(gram_reference),
        ("node", "wider", "row"),
        twice=True,
        wide_result=True,
    ),
    "gram_without_weight": Case(
        _dense(kernels.gram), _dense(gram_reference), ("node", "wider"), twice=True, wide_result=True
    ),
    "grams": Case(
        _dense(lambda *inputs: _flat(kernels.grams(*inputs))),
        _dense(lambda *inputs: _flat(_grams_reference(*inputs))),
        ("node", "wider", "row", "row"),
        wide_result=True,
    ),
    "cosine_distance": Case(
        _dense(cosine_distance.cosine_distance),
        _dense(cosine_distance.cosine_distance_reference),
        ("node", "wider"),
        wide_result=True,
    ),
    "squared_distance_divergence": Case(
        _scaled(kernels.squared_distance_divergence),
        _scaled(distance_matrices.squared_distance_divergence_reference),
        ("node", "wider"),
        wide_result=True,
    ),
    "row_forms": Case(
        all_pairs.form_of_gram(kernels.row_forms, kernels.gram),
        all_pairs.form_of_gram(row_forms_reference, gram_reference),
        ("node", "wider"),
        twice=True,
        wide_result=True,
    ),
    "log_quotient": Case(
        all_pairs.of_gram(kernels.log_quotient),
        all_pairs.log_of_reference_gram(spectral.log_quotient_reference),
        ("node",),
        wide_result=True,
    ),
    **{
        f"mean_distance{'_squared' * squared}": Case(
            _dense(kernels.mean_distance, squared=squared),
            _dense(distances.mean_distance_reference, squared=squared),
            ("node",),
        )
        for squared in (False, True)
    },
    **{
        f"distance_divergence{'_squared' * squared}": Case(
            all_pairs.scaled(kernels.distance_divergence, squared=squared, delta=0.3),
            all_pairs.scaled(distances.distance_divergence_reference, squared=squared, delta=0.3),
            ("node", "wider", "row", "row"),
        )
        for squared in (False, True)
    },
    "angle_divergence": Case(
        _dense(kernels.angle_divergence, delta=0.4),
        _dense(angles.angle_divergence_reference, delta=0.4),
        ("node", "wider"),
    ),
    **{
        f"series_divergence_{'_'.join(map(str, coefficients))}": Case(
            _dense(kernels.series_divergence, coefficients=coefficients),
            _dense(series.series_divergence_reference, coefficients=coefficients),
            ("node", "wider"),
        )
        for coefficients in ((0.5, 1.5), (0.5, 1.5, 0.7), (0.5, 1.5, -0.7), (0.5, 1.5, 0.7, 0.3))
    },
    "product_kl": Case(
        all_pairs.grouped(kernels.product_kl),
        all_pairs.grouped(distributions.product_kl_reference),
        ("node", "node", "wider", "wider"),
    ),
    "nearest_rows": Case(all_pairs.nearest, all_pairs.nearest_reference, ("node",), twice=True),
    "farthest_rows": Case(all_pairs.farthest, all_pairs.farthest_reference, ("node",), twice=True),
    "similar_rows": Case(graph_relations.similar, graph_relations.similar_reference, ("node",), twice=True),
    "transport": Case(graph_relations.transported, graph_relations.transported_reference, ("node", "node"), twice=True),
    "grouped_gram_distance": Case(
        _by_label(kernels.grouped_gram_distance),
        _by_label(grouped_gram.grouped_gram_distance_reference),
        ("node", "wider"),
        wide_result=True,
    ),
    **{
        f"power_divergence_{power}": Case(
            graph_relations.powered(kernels.power_divergence, power),
            graph_relations.powered(powers.power_divergence_reference, power),
            ("edge", "edge"),
        )
        for power in (1, 2, 3)
    },
    **{
        f"sampled_logsumexp_of_{held}": Case(
            graph_relations.from_bank(kernels.sampled_logsumexp, held),
            graph_relations.from_bank(sampled.sampled_logsumexp_reference, held),
            ("node",),
        )
        for held in (4, 100)
    },
    "product_logsumexp": Case(
        _dense(kernels.product_logsumexp, scale=2.0),
        _dense(contrast.product_logsumexp_reference, scale=2.0),
        ("node", "node"),
    ),
    "product_softplus": Case(
        _all_but_own(kernels.product_softplus), _all_but_own(contrast.product_softplus_reference), ("node", "node")
    ),
    "label_divergence": Case(
        _matched(kernels.label_divergence), _matched(contrast.label_divergence_reference), ("node", "node")
    ),
    **{
        f"sampled_softplus_of_{held}": Case(
            _sampled(kernels.sampled_softplus, held), _sampled(sampled.sampled_softplus_reference, held), ("node",)
        )
        for held in (4, 100)  # memories small and large beside the sample
    },
    **{
        f"counted_{name}{'_apart' * bool(apart)}": Case(
            graph_relations.counted(getattr(kernels, f"counted_{name}"), *shift, apart=apart),
            graph_relations.counted(getattr(counted, f"counted_{name}_reference"), *shift, apart=apart),
            ("node",),
        )
        for name, shift in (("logsumexp", ()), ("softplus", (0.5,)))
        for apart in (0, 60)  # a row of the memory that far from all others
    },
    **{
        f"affinity_sums_{kernel}{suffix}": Case(
            on(kernels.affinity_sums, kernel=kernel, **knobs),
            on(affinities.affinity_sums_reference, kernel=kernel, **knobs),
            ("node",),
            twice=not suffix and kernel in ("dot", "cosine"),
        )
        for kernel in ("dot", "cosine", "exponential", "rbf", "student_t")
        for suffix, on, knobs in (
            ("", _dense, {"sigma": 1.5, "degree": 3.0, "eps": 0.1}),
            ("_by_label", _by_label, {"sigma": 1.5, "eps": 0.1, "diagonal": False}),
        )
    },
    **{
        f"affinity_divergence_{kernel}_{divergence}": Case(
            _dense(_of_positive(kernels.affinity_divergence), kernel=kernel, divergence=divergence, **knobs),
            _dense(
                _of_positive(affinity_divergence_reference),
                kernel=kernel,
                divergence=divergence,
                **knobs,
            ),
            ("node", "wider", "row", "row"),
            wide_result=True,
        )
        for kernel, divergence, knobs in (
            ("cosine", "kl", {"eps": 1e-3}),
            ("cosine", "jeffreys", {"diagonal": False}),
            ("exponential", "kl_ratio", {"sigma": 1.5, "eps": 0.1}),
            ("student_t", "jeffreys", {"degree": 3.0, "eps": 0.1}),
            ("rbf", "kl", {"sigma": 1.5}),
            ("dot", "product", {}),
        )
    },
    **{
        f"pair_divergence_{kernel}": Case(
            _dense(kernels.pair_divergence, kernel=kernel, sigma=1.5, degree=3, offset=0.5),
            _dense(similarity.pair_divergence_reference, kernel=kernel, sigma=1.5, degree=3, offset=0.5),
            ("node", "wider"),
        )
        for kernel in ("dot", "poly", "squared_euclidean", "euclidean", "rbf")
    },
}
