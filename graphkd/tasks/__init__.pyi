from .classification import NodeClassification
from .metrics import Fidelity, accuracy, fidelity, predict
from .splits import hold_out

__all__ = ["Fidelity", "NodeClassification", "accuracy", "fidelity", "hold_out", "predict"]
