"""Five nodes, written out, for the definition tests: formulas are evaluated on them again by slow loops."""

import math

import torch

NODES = range(5)
CLASSES = range(3)
# (source, target): a duplicate edge, a self-loop; node 4 has no edge that enters, node 3 one alone.
EDGES = [(0, 1), (2, 1), (0, 1), (4, 1), (1, 0), (3, 0), (2, 2), (0, 2), (1, 3)]
EDGE_INDEX = torch.tensor(EDGES).t()
LABELS = torch.tensor([2, 0, 1, 1, 0])
TARGETS = torch.tensor(
    [[1, 0, 0], [0, 1, 1], [1, 1, 1], [0, 0, 0], [0.5, 0, 1]], dtype=torch.float64
)  # soft ones are allowed
STUDENT = torch.tensor(
    [[0.3, -1.2, 0.5], [2.0, 0.1, -0.4], [-0.7, 0.8, 1.5], [0.2, 0.2, -0.9], [1.1, -0.3, 0.6]], dtype=torch.float64
)
TEACHER = torch.tensor(
    [[0.9, -0.8, 0.1], [1.4, -0.5, 0.3], [0.2, 1.9, -1.0], [-0.6, 0.4, 0.7], [0.8, 1.3, -0.2]], dtype=torch.float64
)
WIDE_TEACHER = torch.cat([TEACHER, TEACHER[:, :2] * torch.tensor([0.5, -1.5], dtype=torch.float64)], dim=1)


def norm(row):
    return dot(row, row) ** 0.5


def unit(row):
    return [float(x) / norm(row) for x in row]


def dot(one, other):
    return sum(float(a) * float(b) for a, b in zip(one, other, strict=True))


def distance(one, other):
    return norm([float(a) - float(b) for a, b in zip(one, other, strict=True)])


def softmax(row, temperature=1.0):
    exps = [math.exp(float(z) / temperature) for z in row]
    return [e / sum(exps) for e in exps]


def sigmoid(z):
    return 1 / (1 + math.exp(-float(z)))


def divergence(p, q):
    """KL of two distributions without zeros."""
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def approx(value):
    """A number as the losses should return it."""
    return torch.tensor(value, dtype=torch.float64)


def assert_value(loss, value):
    torch.testing.assert_close(loss.detach(), approx(value), rtol=1e-12, atol=1e-14)
