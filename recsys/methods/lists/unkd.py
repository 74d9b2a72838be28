"""UnKD: pairs in the teacher's order, drawn inside groups of equal popularity."""

from __future__ import annotations

from torch import nn

from graphkd.core.method import method
from recsys.losses.unkd import UnKD
from recsys.methods._ranking import RankingProblem
from recsys.sources.unkd import GroupLists, UnKDLists, pairs_per_group, popularity_groups, top_per_group


@method(
    "unkd",
    family="lists",
    paper="Chen et al., WSDM 2023",
    arxiv="2211.14729",
    survey=(192,),
    tasks=("ranking", "sequential"),
)
def unbiased_distillation(
    problem: RankingProblem,
    *,
    weight: float = 1.0,
    groups: int = 4,
    pairs: int = 30,
    power: float = 0.0,
    scale: float = 20.0,
) -> nn.Module:
    """Learn the teacher's order inside groups of equal popularity; choose it where the teacher favours popular items.

    Items are divided into ``groups`` by how often they were taken. In every epoch, ``pairs`` pairs a user are drawn
    within the groups, the teacher's first items more often, the more so the smaller ``scale``. power: how many more
    pairs groups of unpopular items get; 0, the authors' default, gives all groups the same number. weight: multiplied
    by the batch size, as for means over rows. Costs O(U I d) once for the groups' first 10 · ``scale`` items, and O(U
    pairs) an epoch.
    """
    items = problem.pairs.items.long()
    group = popularity_groups(items.cpu(), problem.pairs.num_items, groups).to(items.device)
    numbers, _, _ = pairs_per_group(group, problem.pairs.counts(), pairs, power)
    found = problem.once(
        "top-items-of-groups",
        lambda: tuple(top_per_group(problem.teacher.model, problem.pairs, group, int(10 * scale))),
    )
    lists = UnKDLists(GroupLists(*found), numbers, scale=scale)
    return problem.learn(problem.supervised() + weight * problem.batch_size * UnKD(), unkd=lists)
