from .clicks import auc, expected_calibration_error, predicted, quality
from .measures import METRICS
from .ranking import DEFAULT, draw_candidates, full_ranking, held_out, leave_one_out

__all__ = [
    "DEFAULT",
    "METRICS",
    "auc",
    "draw_candidates",
    "expected_calibration_error",
    "full_ranking",
    "held_out",
    "leave_one_out",
    "predicted",
    "quality",
]
