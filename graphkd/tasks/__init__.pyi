from .anomaly_detection import AnomalyDetection
from .classification import NodeClassification
from .graphs import GraphClassification, GraphRegression
from .links import LinkPrediction
from .metrics import Fidelity, accuracy, area_under_curve, fidelity, predict
from .multi_label import MultiLabelNodeClassification
from .regression import Regression
from .splits import hold_out

__all__ = [
    "AnomalyDetection",
    "Fidelity",
    "GraphClassification",
    "GraphRegression",
    "LinkPrediction",
    "MultiLabelNodeClassification",
    "NodeClassification",
    "Regression",
    "accuracy",
    "area_under_curve",
    "fidelity",
    "hold_out",
    "predict",
]
