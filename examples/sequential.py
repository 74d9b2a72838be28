"""Recommend the next item of a history: a SASRec teaches a small GRU4Rec."""

import numpy as np
import torch

import recsys
from recsys.data import Sequences, SequenceSplit
from recsys.models import GRU4Rec, SASRec
from recsys.tasks import Sequential

# 1. 200 users walk through 40 items: mostly to the next one, sometimes elsewhere. Ids count from 1; 0 is padding.
torch.manual_seed(0)
random = np.random.default_rng(0)
users, items = [], []
for user in range(200):
    item = int(random.integers(40))
    for _ in range(10):
        users.append(user + 1)
        items.append(item + 1)
        item = (item + 1) % 40 if random.random() < 0.8 else int(random.integers(40))

# 2. The last item of each user is for test, the one before for validation, the others for training.
split = SequenceSplit.leave_one_out(Sequences.from_events(users, items, list(range(len(users)))), max_length=10)
task = Sequential(metrics=("ndcg@10", "hit@10"), seen="ranked", negatives=None)

# 3. Both models turn a history into a state; its products with a table of items are the scores. The log is so small
#    that the student gains or loses little; the guide to sequences has real data.
teacher = recsys.distil(
    "none", SASRec(split.num_items, 32, max_length=10), None, split, task=task, epochs=20, progress=False
)
student = GRU4Rec(split.num_items, 16, max_length=10)
alone = recsys.distil("none", student, None, split, task=task, epochs=25, progress=False)
distilled = recsys.distil("rrd", student, teacher.model, split, task=task, epochs=25, progress=False)
print("teacher  ", teacher.scores["test"])
print("alone    ", alone.scores["test"])
print("distilled", distilled.scores["test"])
