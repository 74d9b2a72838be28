"""NOSMOG where its paper has it: where a node lies in the graph tells more than its features do.

Few features cannot be learnt by heart, so that an MLP of them stays behind a teacher that reads edges; positions say
what it lacks.
"""

from __future__ import annotations

import torch
from torch import Tensor

import graphkd
from tests.schemes.regimes.gnn.scene import communities, right, teacher
from tests.schemes.regimes.scene import net

METHODS = ("nosmog",)


def test_positions_help_an_mlp_to_follow_its_teacher(seed_offset):
    data, options = communities(seed_offset, width=4, spread=1.5), {"seed": seed_offset, "progress": False}
    known, student = teacher(data, seed_offset), net(4, 32, 4, seed=seed_offset)
    blind = right(graphkd.distil("glnn", student, known, data, epochs=40, **options))  # of features alone

    def holds(positions: Tensor | None) -> bool:
        options.update({"hidden": "convs.0", "width": 32, "position_width": 8, "positions": positions})
        return right(graphkd.distil("nosmog", None, known, data, epochs=40, **options)) > blind + 20

    assert holds(None)
    assert not holds(torch.randn(300, 8, generator=torch.Generator().manual_seed(seed_offset)))
