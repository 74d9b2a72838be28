"""FedNTD: clients keep the global model's odds between other classes."""

from __future__ import annotations

from graphkd import Distiller, fit
from graphkd.losses import CE, NCKD
from graphkd.schemes.federated import average_states
from graphkd.schemes.federated._messages import seed_of
from tests.core.models import gcn
from tests.schemes.federated.scene import PARTS, SIZES, apart, part, run, weights


def test_clients_learn_labels_and_what_else_the_global_model_says():
    states = []
    for who, rows in enumerate(PARTS):
        model = gcn(0)
        loss = CE(where="train_mask") + 0.5 * NCKD(2.0, where="train_mask")
        task = Distiller(model, gcn(0), loss)
        fit(task, part(rows), epochs=3, seed=seed_of(0, "learn", 0, who))
        states.append(weights(model))
    assert apart(run("fedntd", rounds=1, beta=0.5, temperature=2.0).model, average_states(states, SIZES)) == 0
