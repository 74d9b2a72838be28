"""Three clients' answers about the rows of ``tests.losses.example``."""

from __future__ import annotations

import torch

from tests.losses.example import STUDENT, TEACHER

TEACHERS = torch.stack([TEACHER, 2 * STUDENT.flip(0), TEACHER.flip(1)])
WEIGHTS = torch.tensor([1.0, 3.0, 4.0], dtype=torch.float64)
