from .candidates import Candidates, drawn_candidates
from .clicks import auc, expected_calibration_error, predicted, quality
from .measures import METRICS
from .next_item import next_item_ranking
from .predictions import prediction_values
from .ranking import DEFAULT, draw_candidates, full_ranking, held_out, leave_one_out
from .sampled import sampled_ranking

__all__ = [
    "DEFAULT",
    "METRICS",
    "Candidates",
    "auc",
    "draw_candidates",
    "drawn_candidates",
    "expected_calibration_error",
    "full_ranking",
    "held_out",
    "leave_one_out",
    "next_item_ranking",
    "predicted",
    "prediction_values",
    "quality",
    "sampled_ranking",
]
