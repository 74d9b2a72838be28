"""Who teaches whom, and when: what several teachers say together, schedules, and what follows from them."""

from graphkd.schemes.amtml import AdaptiveWeights, amtml
from graphkd.schemes.anomalies import anomaly_score, predictive_uncertainty, regression_error, uninformed_students
from graphkd.schemes.certainty import Certainty, certainty, gaussian_noise_std
from graphkd.schemes.pseudo_labels import cluster_difference, mixed_pseudo_labels, select_pseudo_labels
from graphkd.schemes.ramps import cosine_rampdown, linear_rampup, sigmoid_rampup
from graphkd.schemes.weights import (
    class_credibility,
    domain_similarity,
    entropy_reduction,
    oracle_kd,
    oracle_weights,
    selective_distillation,
    selective_fusion,
    soft_target,
    trimmed_mean,
    vote_triplets,
)

__all__ = [
    "AdaptiveWeights",
    "Certainty",
    "amtml",
    "anomaly_score",
    "certainty",
    "class_credibility",
    "cluster_difference",
    "cosine_rampdown",
    "domain_similarity",
    "entropy_reduction",
    "gaussian_noise_std",
    "linear_rampup",
    "mixed_pseudo_labels",
    "oracle_kd",
    "oracle_weights",
    "predictive_uncertainty",
    "regression_error",
    "select_pseudo_labels",
    "selective_distillation",
    "selective_fusion",
    "sigmoid_rampup",
    "soft_target",
    "trimmed_mean",
    "uninformed_students",
    "vote_triplets",
]
