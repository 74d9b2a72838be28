"""Teachers without the values they cached for one graph, to be run on another."""

from __future__ import annotations

from graphkd.core.cached import Cached
from graphkd.core.ensemble import Ensemble
from graphkd.core.teachers import Frozen


def unstored(teacher: Frozen) -> Frozen:
    """Return a teacher without the values it cached for one graph, to run it on another."""
    if isinstance(teacher, Ensemble):
        members = [unstored(member) for member in teacher.members]
        return Ensemble(members, teacher.combine, weights=teacher.weights, taps=teacher.taps)
    return Frozen(teacher.model, call=teacher.call) if isinstance(teacher, Cached) else teacher
