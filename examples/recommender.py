"""Compress a recommender trained on a log of clicks, and recommend from a folder that needs no training code."""

import tempfile

import numpy as np
import torch

import recsys
from recsys import Interactions, Split
from recsys.models import MF

# 1. A log: each visitor likes one kind of items. `recsys.data.read_interactions("clicks.csv", ...)` reads a file.
torch.manual_seed(0)
random = np.random.default_rng(0)
visitors = np.repeat(np.arange(300), 20)
liked = (visitors % 6) + 6 * random.integers(0, 40, len(visitors))
items = np.where(random.random(len(visitors)) < 0.7, liked, random.integers(0, 240, len(visitors)))
pairs = sorted({(f"visitor-{user}", f"item-{item}") for user, item in zip(visitors, items, strict=True)})
log = Interactions.from_tokens([user for user, _ in pairs], [item for _, item in pairs])
split = Split.ratio(log, seed=0)

# 2. A teacher with vectors of width 64 for users and items, and a student with width 4. "none" trains by BPR alone.
users, items = log.num_users, log.num_items
teacher = recsys.distil("none", MF(users, items, 64), None, split, epochs=20, progress=False)
student = MF(users, items, 4)
alone = recsys.distil("none", student, None, split, epochs=20, progress=False)
distilled = recsys.distil("rd", student, teacher.model, split, epochs=20, progress=False)
print("teacher  ", teacher.scores["test"])
print("alone    ", alone.scores["test"])
print("distilled", distilled.scores["test"])

# 3. A service: a folder with tables, the original ids, the items that visitors have, and a card.
with tempfile.TemporaryDirectory() as folder:
    recsys.serve.export(distilled, folder, split)
    for user, found, scores, _ in recsys.serve.recommend(folder, ["visitor-0", "visitor-1"], k=3):
        print(user, list(found), scores)
