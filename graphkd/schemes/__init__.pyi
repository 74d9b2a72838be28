from ._ramps import cosine_rampdown, linear_rampup, sigmoid_rampup
from ._together import Together
from .augment import Changed, drop_edges, drop_edges_and_features, mask_features, told
from .continual.ewc import ElasticDistiller, WeightMemory, ewc_penalty, fisher_diagonal, trained_weights
from .data_free.activation_records import Record, activation_loss, reconstruct
from .data_free.cross_distillation import cross_distillation, fit_masked, proximal_mask, soft_cross_distillation
from .data_free.data_free_regression import DataFreeRegression, FakeTurn, FakeTurns
from .domains.adversarial import Adaptation, Adversarial, adversarial_adaptation, domain_adversaries
from .domains.cycada import Translation, Translator, translated
from .domains.domain_weights import domain_similarity
from .domains.mcd import cluster_difference, mixed_pseudo_labels
from .domains.multi_target import CollaborativeExperts
from .domains.multimodal_expansion import SteadyDistiller
from .domains.progressive_adaptation import Progressive
from .federated.fedaux import certainty, gaussian_noise_std
from .federated.fedgems import selective_fusion
from .federated.fedssd import class_credibility, selective_distillation
from .knowledge_points import Knowledge, KnowledgePoints, input_entropies, quantify_knowledge
from .online.afd import Adversaries, discrimination_squares, fooling_squares
from .online.afikd import AttendedFeatures
from .online.dml import each_other
from .online.ffl import Fusion, mutual_fusion
from .online.kdcl import (
    general_target,
    general_weights,
    linear_target,
    linear_weights,
    min_logit_target,
    naive_target,
)
from .online.kdgan import KDGAN, pair_discrimination, pair_policy
from .online.mcl_okd import PeerContrast
from .online.okddip import PeerAttention
from .online.one import Gate, gated_ensemble
from .online.pcl import Collaboration, collaboration
from .online.peers import Auxiliary, Peers, PeerTargets, peer_losses, shared_trunk
from .privacy._accountant import log_moments, privacy_spent, wrong_vote_bound
from .privacy.pate import noisy_votes
from .robust.ard import RobustDistiller, ard, attacked
from .robust.white_to_black import AttackNet, OnePassAttack, white_box_directions
from .self.ban import shuffle_others
from .self.byot import Exits, exit_hint
from .semi._pseudo_labels import select_pseudo_labels
from .semi.ordinal import ends, neighbour_distance
from .semi.phased_labels import relative_entropy
from .semi.tri_training import agreed_labels
from .semi.uninformed import (
    Uninformed,
    anomaly_score,
    predictive_uncertainty,
    regression_error,
    uninformed_students,
)
from .teachers._combine import entropy_reduction, oracle_kd, oracle_weights, soft_target, trimmed_mean
from .teachers._progress import NaiveProgress, OnlineProgress, SamplingProgress, WindowProgress
from .teachers.amtml import AMTML, AdaptiveWeights, Hint, amtml
from .teachers.cc_class_uniform import GroupBatches
from .teachers.guided_search import dissimilarity_correlation
from .teachers.metadistil import MetaDistil, Turns, metadistil_loss, pilot_step
from .teachers.munge import is_discrete, munge, nearest_rows
from .teachers.must import Specialists, TaskHeads
from .teachers.rl_kd import TeacherChoice, TeacherPolicy, policy_loss, teacher_states
from .teachers.sftn import StudentFriendly, sftn_loss
from .teachers.sskd import SSKD, TeacherHead, reliable_rows, sskd
from .teachers.stochastic import Stochastic
from .teachers.tmkd import TMKD
from .teachers.tscl import Curriculum, boltzmann, epsilon_greedy
from .teachers.validation_weights import ValidationWeights
from .teachers.voted_triplets import VotedTriplets, vote_triplets

__all__ = [
    "AMTML",
    "KDGAN",
    "SSKD",
    "TMKD",
    "Adaptation",
    "AdaptiveWeights",
    "Adversarial",
    "Adversaries",
    "AttackNet",
    "AttendedFeatures",
    "Auxiliary",
    "Changed",
    "Collaboration",
    "CollaborativeExperts",
    "Curriculum",
    "DataFreeRegression",
    "ElasticDistiller",
    "Exits",
    "FakeTurn",
    "FakeTurns",
    "Fusion",
    "Gate",
    "GroupBatches",
    "Hint",
    "Knowledge",
    "KnowledgePoints",
    "MetaDistil",
    "NaiveProgress",
    "OnePassAttack",
    "OnlineProgress",
    "PeerAttention",
    "PeerContrast",
    "PeerTargets",
    "Peers",
    "Progressive",
    "Record",
    "RobustDistiller",
    "SamplingProgress",
    "Specialists",
    "SteadyDistiller",
    "Stochastic",
    "StudentFriendly",
    "TaskHeads",
    "TeacherChoice",
    "TeacherHead",
    "TeacherPolicy",
    "Together",
    "Translation",
    "Translator",
    "Turns",
    "Uninformed",
    "ValidationWeights",
    "VotedTriplets",
    "WeightMemory",
    "WindowProgress",
    "activation_loss",
    "adversarial_adaptation",
    "agreed_labels",
    "amtml",
    "anomaly_score",
    "ard",
    "attacked",
    "boltzmann",
    "certainty",
    "class_credibility",
    "cluster_difference",
    "collaboration",
    "cosine_rampdown",
    "cross_distillation",
    "discrimination_squares",
    "dissimilarity_correlation",
    "domain_adversaries",
    "domain_similarity",
    "drop_edges",
    "drop_edges_and_features",
    "each_other",
    "ends",
    "entropy_reduction",
    "epsilon_greedy",
    "ewc_penalty",
    "exit_hint",
    "fisher_diagonal",
    "fit_masked",
    "fooling_squares",
    "gated_ensemble",
    "gaussian_noise_std",
    "general_target",
    "general_weights",
    "input_entropies",
    "is_discrete",
    "linear_rampup",
    "linear_target",
    "linear_weights",
    "log_moments",
    "mask_features",
    "metadistil_loss",
    "min_logit_target",
    "mixed_pseudo_labels",
    "munge",
    "mutual_fusion",
    "naive_target",
    "nearest_rows",
    "neighbour_distance",
    "noisy_votes",
    "oracle_kd",
    "oracle_weights",
    "pair_discrimination",
    "pair_policy",
    "peer_losses",
    "pilot_step",
    "policy_loss",
    "predictive_uncertainty",
    "privacy_spent",
    "proximal_mask",
    "quantify_knowledge",
    "reconstruct",
    "regression_error",
    "relative_entropy",
    "reliable_rows",
    "select_pseudo_labels",
    "selective_distillation",
    "selective_fusion",
    "sftn_loss",
    "shared_trunk",
    "shuffle_others",
    "sigmoid_rampup",
    "soft_cross_distillation",
    "soft_target",
    "sskd",
    "teacher_states",
    "told",
    "trained_weights",
    "translated",
    "trimmed_mean",
    "uninformed_students",
    "vote_triplets",
    "white_box_directions",
    "wrong_vote_bound",
]
