"""Check that two splits number users and items alike, as teacher and student must."""

from __future__ import annotations

import torch

from recsys.data.interactions import Split, check_sizes


def check_same_ids(teacher: Split, student: Split) -> None:
    """Raise ValueError that names the first difference unless two splits have the same ids and the same training pairs.

    Ids depend on the order in which a dataset was read: under other ids a teacher would teach noise. A teacher trained
    on another split has seen the student's test pairs.
    """
    check_sizes("teacher", teacher.train, student.train)
    for side in ("user", "item"):
        maps = getattr(teacher, f"{side}_tokens"), getattr(student, f"{side}_tokens")
        if None in maps or maps[0] == maps[1]:
            continue
        place = next(i for i, (one, other) in enumerate(zip(*maps, strict=True)) if one != other)
        raise ValueError(
            f"the teacher's {side} ids must be the student's, got {side} {place} = {maps[0][place]!r} for the teacher "
            f"and {maps[1][place]!r} for the student: build both from one dataset and one split"
        )
    if not torch.equal(teacher.train.keys.cpu(), student.train.keys.cpu()):
        missing = int((~student.train.contains(*teacher.train.pairs())).sum())
        raise ValueError(
            f"the teacher must be trained on the student's training pairs, got {missing} of {len(teacher.train)} pairs "
            "that the student does not train on: split once, and share the split"
        )
