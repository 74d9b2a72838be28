"""Golden cases of sequences: RecBole's rows, and KL at every position."""

from __future__ import annotations

from torch import Tensor

from recsys.data import Sequences, SequenceSplit
from recsys.losses.sequence_kl import sequence_kl


def sequence_rows(inputs: dict[str, Tensor], params: dict) -> dict[str, Tensor]:
    """Rows of all parts, users in RecBole's order: by the time of the first row's target, then as they came first."""
    assert params["split"] == "LS valid_and_test"
    assert params["order"] == "TO"
    data = Sequences.from_events(inputs["users"], inputs["items"], inputs["timestamps"])
    split = SequenceSplit.leave_one_out(data, params["max_length"])
    found: dict[str, Tensor] = {}
    for name in ("train", "valid", "test"):
        rows = getattr(split, name)
        sequences, lengths, _ = rows.histories()
        order = sorted(range(len(rows)), key=lambda row: group(inputs, int(rows.users[row])))
        found |= {
            f"{name}_users": rows.users[order],
            f"{name}_targets": rows.targets[order],
            f"{name}_sequences": sequences[order],
            f"{name}_lengths": lengths[order],
        }
    return found


def group(inputs: dict[str, Tensor], user: int) -> tuple[float, int]:
    """Where RecBole puts a user among others: users are numbered as they come, rows grouped in the order of time."""
    own = (inputs["users"] == user).nonzero().squeeze(1)
    return float(inputs["timestamps"][own].sort().values[1]), int(own[0])


def sequence_kl_case(inputs: dict[str, Tensor], params: dict) -> dict[str, Tensor]:
    """KL over valid positions."""
    assert params["reduction"] == "mean over valid positions"
    knobs = {"temperature": params["temperature"], "skip_padding_item": params["skip_padding_item"]}
    return {"loss": sequence_kl(inputs["student_logits"], inputs["teacher_logits"], inputs["lengths"], **knobs)}


ADAPTERS = {"sequence_rows": sequence_rows, "sequence_kl": sequence_kl_case}
