from .clicks import auc, expected_calibration_error, predicted, quality
from .ranking import DEFAULT, METRICS, CappedRecall, draw_candidates, full_ranking, held_out, leave_one_out

__all__ = [
    "DEFAULT",
    "METRICS",
    "CappedRecall",
    "auc",
    "draw_candidates",
    "expected_calibration_error",
    "full_ranking",
    "held_out",
    "leave_one_out",
    "predicted",
    "quality",
]
