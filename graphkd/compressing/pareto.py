"""Non-dominated fronts of points, and the better half of trials by these fronts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Point = tuple[float, ...]  # of which more is better in each place


def dominates(one: Point, other: Point) -> bool:
    """Tell whether ``one`` is at least as good as ``other`` in all places and better in one."""
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def fronts(points: Mapping[int, Point]) -> list[list[int]]:
    """Sort points into fronts (Deb et al., NSGA-II, 2002): not dominated points, points that only these dominate, ...

    Of equal points the first is in the earlier front. Takes O(n^2) comparisons per front.

    Example::

        >>> fronts({0: (0.9, -3.0), 1: (0.8, -1.0), 2: (0.7, -2.0)})
        [[0, 1], [2]]
    """
    left, found = list(points), []
    while left:
        best = [
            number
            for place, number in enumerate(left)
            if not any(dominates(points[other], points[number]) for other in left)
            and not any(points[other] == points[number] for other in left[:place])
        ]
        found.append(best)
        left = [number for number in left if number not in best]
    return found


def ordered(points: Mapping[int, Point]) -> list[int]:
    """Order points from best to worst: by front, then by their first entry, equal ones by number."""
    ranked = (sorted(front, key=lambda number: (-points[number][0], number)) for front in fronts(points))
    return [number for front in ranked for number in front]


def best_half(points: Mapping[int, Point], least: int) -> Sequence[int]:
    """Choose the better half of points, but at least ``least``, in the order of their numbers."""
    count = max(least, (len(points) + 1) // 2)
    return sorted(ordered(points)[:count])
