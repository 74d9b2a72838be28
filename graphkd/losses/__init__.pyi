from ._adversarial import discrimination, fooling
from .features.ab import AB, activation_boundaries
from .features.at import AT, attention_transfer
from .features.feature_adversary import FeatureAdversary
from .features.feature_distance import FeatureDistance, feature_distance
from .features.fitnet import FitNet, fitnet
from .features.fsp import FSP, flow, fsp
from .features.ft import FT, Paraphraser, factor_transfer
from .features.hidden_cosine import HiddenCosine, hidden_cosine
from .features.kd4mtl import KD4MTL, kd4mtl
from .features.nst import NST, neuron_selectivity
from .features.oskd import OSKD
from .features.srrl import SRRL, softmax_regression, srrl
from .graphs.gcrd import GCRD, gcrd
from .graphs.gkd import GKD, geometric_graph, gkd
from .graphs.gsp import GSP, gsp
from .graphs.high_frequency import HighFrequency, high_frequency
from .graphs.hkd import HKD, bank_contrast, prediction_graph
from .graphs.logits_graph import LogitsGraph, earth_movers_distance, logits_adjacency, logits_graph
from .graphs.low_frequency import LowFrequency, NeighbourAnswers, low_frequency
from .graphs.lsp import LSP, local_structure, lsp
from .graphs.representation_graph import RepresentationGraph, compact_bilinear, mean_discrepancy
from .information.cmpc import CMPC, cmpc
from .information.cmpm import CMPM, cmpm
from .information.crcd import CRCD, CRCDGradient, crcd, crcd_gradient, crcd_log_normaliser, cross_entropy_gradient
from .information.crd import CRD, crd, crd_log_normaliser
from .information.info_nce import InfoNCE, info_nce
from .information.information_flow import InformationFlow
from .information.itrd import ITRDCorrelation, ITRDMutual, itrd_correlation, itrd_mutual
from .information.mimkd import MIMKD, mimkd, mutual_information
from .information.pkt import PKT, SupervisedPKT, densities, pkt, supervised_pkt
from .information.qmi import QMI, information_potentials, qmi
from .information.vcd import VCD, vcd
from .information.vid import VID, vid
from .information.vml import VML, vml
from .information.vsd import VSD, vsd
from .regression.attentive_imitation import (
    AttentiveHint,
    AttentiveImitation,
    attentive_hint,
    attentive_imitation,
    error_range,
    imitation_weights,
)
from .regression.cakd import CAKD
from .regression.disagreement import disagreement
from .regression.number_distance import NumberDistance, number_distance
from .regression.outlier_rejection import OutlierRejection, is_inlier, outlier_rejection
from .regression.squared_error import SquaredError, squared_error
from .regression.teacher_bounded import TeacherBounded, bounded_error, is_bounded, smooth_l1, teacher_bounded
from .relations.cc import CC, adjacent_correlation, correlation_congruence
from .relations.cirkd import CIRKD, CIRKDMemory, cirkd, cirkd_memory
from .relations.darkrank import DarkRank, Proximity, darkrank
from .relations.inter_region_affinity import InterRegionAffinity, inter_region_affinity, louvain_regions
from .relations.irg import IRG, edge_map, irg
from .relations.irg_transform import IRGEdgeTransform, IRGTransform, irg_edge_transform, irg_transform
from .relations.log_euclidean import LogEuclidean, log_euclidean
from .relations.rkd import RKD, RKDAngle, RKDDistance, rkd, rkd_angle, rkd_distance
from .relations.rsd import RSD, representational_similarity
from .relations.sp import SP, similarity_preserving
from .relations.triplet_order import TripletOrder, triplet_hinge, triplet_order
from .response.bce import BCE, binary_cross_entropy
from .response.ce import CE, cross_entropy
from .response.centred_logits import CentredLogits, centred_logits
from .response.conditional_ts import ConditionalTS, conditional_teacher_student, is_right
from .response.confidence_weighted import ConfidenceWeighted
from .response.consistency import Consistency
from .response.dist import DIST, dist, dist_relations
from .response.dkd import DKD, dkd, tckd
from .response.fading_kl import FadingKL
from .response.guarded_kl import GuardedKL
from .response.kd import KL, kl
from .response.label_smoothing import LabelSmoothing, label_smoothing
from .response.logit_mse import LogitMSE, logit_mse
from .response.nckd import NCKD, nckd
from .response.pseudo_label import PseudoLabel, is_confident, pseudo_label
from .response.soft_bce import SoftBCE, soft_bce
from .response.soft_ce import SoftCE, soft_cross_entropy
from .response.soft_label_distance import SoftLabelDistance, SoftLabels, soft_label_distance
from .response.survey_objective import survey_objective
from .response.virtual_teacher import VirtualTeacher, virtual_teacher

__all__ = [
    "AB",
    "AT",
    "BCE",
    "CAKD",
    "CC",
    "CE",
    "CIRKD",
    "CMPC",
    "CMPM",
    "CRCD",
    "CRD",
    "DIST",
    "DKD",
    "FSP",
    "FT",
    "GCRD",
    "GKD",
    "GSP",
    "HKD",
    "IRG",
    "KD4MTL",
    "KL",
    "LSP",
    "MIMKD",
    "NCKD",
    "NST",
    "OSKD",
    "PKT",
    "QMI",
    "RKD",
    "RSD",
    "SP",
    "SRRL",
    "VCD",
    "VID",
    "VML",
    "VSD",
    "AttentiveHint",
    "AttentiveImitation",
    "CIRKDMemory",
    "CRCDGradient",
    "CentredLogits",
    "ConditionalTS",
    "ConfidenceWeighted",
    "Consistency",
    "DarkRank",
    "FadingKL",
    "FeatureAdversary",
    "FeatureDistance",
    "FitNet",
    "GuardedKL",
    "HiddenCosine",
    "HighFrequency",
    "IRGEdgeTransform",
    "IRGTransform",
    "ITRDCorrelation",
    "ITRDMutual",
    "InfoNCE",
    "InformationFlow",
    "InterRegionAffinity",
    "LabelSmoothing",
    "LogEuclidean",
    "LogitMSE",
    "LogitsGraph",
    "LowFrequency",
    "NeighbourAnswers",
    "NumberDistance",
    "OutlierRejection",
    "Paraphraser",
    "Proximity",
    "PseudoLabel",
    "RKDAngle",
    "RKDDistance",
    "RepresentationGraph",
    "SoftBCE",
    "SoftCE",
    "SoftLabelDistance",
    "SoftLabels",
    "SquaredError",
    "SupervisedPKT",
    "TeacherBounded",
    "TripletOrder",
    "VirtualTeacher",
    "activation_boundaries",
    "adjacent_correlation",
    "attention_transfer",
    "attentive_hint",
    "attentive_imitation",
    "bank_contrast",
    "binary_cross_entropy",
    "bounded_error",
    "centred_logits",
    "cirkd",
    "cirkd_memory",
    "cmpc",
    "cmpm",
    "compact_bilinear",
    "conditional_teacher_student",
    "correlation_congruence",
    "crcd",
    "crcd_gradient",
    "crcd_log_normaliser",
    "crd",
    "crd_log_normaliser",
    "cross_entropy",
    "cross_entropy_gradient",
    "darkrank",
    "densities",
    "disagreement",
    "discrimination",
    "dist",
    "dist_relations",
    "dkd",
    "earth_movers_distance",
    "edge_map",
    "error_range",
    "factor_transfer",
    "feature_distance",
    "fitnet",
    "flow",
    "fooling",
    "fsp",
    "gcrd",
    "geometric_graph",
    "gkd",
    "gsp",
    "hidden_cosine",
    "high_frequency",
    "imitation_weights",
    "info_nce",
    "information_potentials",
    "inter_region_affinity",
    "irg",
    "irg_edge_transform",
    "irg_transform",
    "is_bounded",
    "is_confident",
    "is_inlier",
    "is_right",
    "itrd_correlation",
    "itrd_mutual",
    "kd4mtl",
    "kl",
    "label_smoothing",
    "local_structure",
    "log_euclidean",
    "logit_mse",
    "logits_adjacency",
    "logits_graph",
    "louvain_regions",
    "low_frequency",
    "lsp",
    "mean_discrepancy",
    "mimkd",
    "mutual_information",
    "nckd",
    "neuron_selectivity",
    "number_distance",
    "outlier_rejection",
    "pkt",
    "prediction_graph",
    "pseudo_label",
    "qmi",
    "representational_similarity",
    "rkd",
    "rkd_angle",
    "rkd_distance",
    "similarity_preserving",
    "smooth_l1",
    "soft_bce",
    "soft_cross_entropy",
    "soft_label_distance",
    "softmax_regression",
    "squared_error",
    "srrl",
    "supervised_pkt",
    "survey_objective",
    "tckd",
    "teacher_bounded",
    "triplet_hinge",
    "triplet_order",
    "vcd",
    "vid",
    "virtual_teacher",
    "vml",
    "vsd",
]
