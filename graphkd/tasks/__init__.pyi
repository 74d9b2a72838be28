from .anomaly_detection import AnomalyDetection
from .classification import NodeClassification
from .graphs import GraphClassification
from .metrics import Fidelity, accuracy, area_under_curve, fidelity, predict
from .regression import Regression
from .splits import hold_out

__all__ = [
    "AnomalyDetection",
    "Fidelity",
    "GraphClassification",
    "NodeClassification",
    "Regression",
    "accuracy",
    "area_under_curve",
    "fidelity",
    "hold_out",
    "predict",
]
