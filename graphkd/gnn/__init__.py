"""Graph students and procedures: methods that bring their own student, data or schedule."""

from graphkd.gnn.glnn import GLNNBatches, glnn, glnn_distiller, hold_out
from graphkd.gnn.metrics import accuracy, predict

__all__ = ["GLNNBatches", "accuracy", "glnn", "glnn_distiller", "hold_out", "predict"]
