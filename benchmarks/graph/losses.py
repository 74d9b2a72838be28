"""Every loss of ``graphkd.losses`` that node classifiers can learn from, by name; and why the others are not here.

Weights are the authors' or, where theirs are unknown, 1 beside the labels' cross-entropy. What reads labels sees those
of training nodes alone. Losses between layers of one width compare the logits, since hidden widths differ.
"""

from __future__ import annotations

from benchmarks.graph.lessons import Lesson, Train, before_labels, beside_labels, by_loss, plain_losses
from graphkd import Loss
from graphkd.losses import (
    AB,
    AT,
    CC,
    CE,
    CIRKD,
    CMPC,
    CMPM,
    CRCD,
    CRD,
    DIST,
    DKD,
    FT,
    GCRD,
    GKD,
    GSP,
    HKD,
    IRG,
    KD4MTL,
    KL,
    LSP,
    MIMKD,
    NCKD,
    NST,
    PKT,
    QMI,
    RKD,
    RSD,
    SP,
    SRRL,
    VID,
    VML,
    VSD,
    CentredLogits,
    CIRKDMemory,
    ConditionalTS,
    CRCDGradient,
    DarkRank,
    FeatureDistance,
    FitNet,
    HiddenCosine,
    HighFrequency,
    InfoNCE,
    InformationFlow,
    InterRegionAffinity,
    ITRDCorrelation,
    ITRDMutual,
    LabelSmoothing,
    LogEuclidean,
    LogitMSE,
    LogitsGraph,
    LowFrequency,
    PseudoLabel,
    RKDAngle,
    RKDDistance,
    SoftBCE,
    SoftCE,
    SoftLabelDistance,
    SupervisedPKT,
    TripletOrder,
    VirtualTeacher,
)

_SEEN = "train_mask"


def _factor_transfer(lesson: Lesson) -> Loss:
    loss = FT(*lesson.widths)
    loss.fit_paraphraser(lesson.taught())
    return 500 * loss


RESPONSE: dict[str, Train] = {
    "kd": by_loss(lambda _: plain_losses()),
    "logit_mse": beside_labels(lambda _: 1.0 * LogitMSE()),
    "soft_ce": beside_labels(lambda _: 1.0 * SoftCE()),
    "soft_bce": beside_labels(lambda _: 1.0 * SoftBCE()),
    "dkd": beside_labels(lambda _: 1.0 * DKD(warm_up=20, where=_SEEN)),
    "nckd": beside_labels(lambda _: 1.0 * NCKD(where=_SEEN)),
    "dist": beside_labels(lambda _: 2.0 * DIST()),
    "conditional_ts": by_loss(lambda _: ConditionalTS(where=_SEEN) + KL(where=f"~{_SEEN}")),
    "pseudo_label": beside_labels(lambda _: 2.0 * PseudoLabel()),
    "centred_logits": beside_labels(lambda _: 1.0 * CentredLogits()),
    "soft_label_distance": beside_labels(lambda _: 1.0 * SoftLabelDistance(where=f"~{_SEEN}")),
    "low_frequency": beside_labels(lambda _: 1.0 * LowFrequency(self_loops=True)),
    "high_frequency": beside_labels(lambda _: 1.0 * HighFrequency()),
    "vml": beside_labels(lambda _: 1.0 * VML()),
    "vsd": beside_labels(lambda _: 1.0 * VSD()),
    "label_smoothing": by_loss(lambda _: 1.0 * LabelSmoothing(where=_SEEN)),
    "virtual_teacher": by_loss(lambda _: 0.9 * CE(where=_SEEN) + 0.1 * 100 * VirtualTeacher(where=_SEEN)),
}
INTERMEDIATE: dict[str, Train] = {
    "fitnet": beside_labels(lambda lesson: 100 * FitNet(*lesson.widths, normalise=True)),
    "at": beside_labels(lambda _: 100 * AT()),
    "ab": before_labels(lambda lesson: 1.0 * AB(*lesson.widths)),
    "ft": beside_labels(_factor_transfer),
    "nst": beside_labels(lambda _: 50 * NST()),
    "kd4mtl": beside_labels(lambda lesson: 1.0 * KD4MTL(*lesson.widths)),
    "srrl": beside_labels(lambda lesson: 1.0 * SRRL(lesson.classifier(), lesson.widths[0])),
    "hidden_cosine": beside_labels(lambda _: 1.0 * HiddenCosine(on="logits")),
    "feature_l1": beside_labels(lambda _: 1.0 * FeatureDistance("l1", on="logits")),
    "feature_l2": beside_labels(lambda _: 1.0 * FeatureDistance("l2", on="logits")),
    "feature_huber": beside_labels(lambda _: 1.0 * FeatureDistance("huber", on="logits")),
}
RELATION: dict[str, Train] = {
    "lsp": beside_labels(lambda _: 100 * LSP.efficient_gnns("rbf")),
    "gsp": beside_labels(lambda _: 100 * GSP()),
    "sp": beside_labels(lambda _: 3000 * SP()),
    "rsd": beside_labels(lambda lesson: 0.1 * RSD(lesson.widths[0])),
    "cc": beside_labels(lambda _: 0.003 * CC()),
    "irg": beside_labels(lambda _: 0.005 * IRG(reduction="rows")),
    "rkd": beside_labels(lambda _: 25 * RKD()),
    "rkd_distance": beside_labels(lambda _: 25 * RKDDistance()),
    "rkd_angle": beside_labels(lambda _: 50 * RKDAngle()),
    "darkrank": beside_labels(lambda _: 16 * DarkRank()),
    "triplet_order": beside_labels(lambda _: 1.0 * TripletOrder()),
    "gkd": beside_labels(lambda _: 25 * GKD()),
    "hkd": beside_labels(lambda lesson: 3 * HKD(lesson.nodes, *lesson.widths, negatives=1024)),  # 16,384 published
    "logits_graph": beside_labels(lambda _: 1.0 * LogitsGraph()),
    "inter_region_affinity": beside_labels(lambda _: 0.1 * InterRegionAffinity("teacher")),
    "log_euclidean": beside_labels(lambda lesson: lesson.nodes**-2 * LogEuclidean()),  # a sum over all pairs
    "cirkd": beside_labels(lambda _: 1.0 * CIRKD()),
    "cirkd_memory": beside_labels(lambda lesson: 0.1 * CIRKDMemory(lesson.nodes, *lesson.widths)),
}
INFORMATION: dict[str, Train] = {
    "gcrd": beside_labels(lambda lesson: 0.1 * GCRD(*lesson.widths, projection=128)),
    "crd": beside_labels(lambda lesson: 0.8 * CRD(lesson.nodes, *lesson.widths)),
    "crcd": beside_labels(lambda lesson: 1.0 * CRCD(lesson.nodes, *lesson.widths)),
    "crcd_gradient": beside_labels(lambda _: 1.0 * CRCDGradient(on="logits", where=_SEEN)),
    "info_nce": beside_labels(lambda _: 1.0 * InfoNCE(on="logits")),
    "mimkd": beside_labels(lambda lesson: 1.0 * MIMKD(*lesson.widths)),
    "vid": beside_labels(lambda lesson: 1.0 * VID(*lesson.widths)),
    "pkt": beside_labels(lambda _: 30_000 * PKT()),
    "pkt_supervised": beside_labels(lambda _: 30_000 * SupervisedPKT(where=_SEEN)),
    "information_flow": beside_labels(lambda _: 1.0 * InformationFlow()),
    "qmi": beside_labels(lambda _: 1.0 * QMI(where=_SEEN)),
    "itrd_correlation": beside_labels(lambda lesson: 2.0 * ITRDCorrelation(*lesson.widths)),
    "itrd_mutual": beside_labels(lambda lesson: 0.05 * ITRDMutual(*lesson.widths)),
    "cmpm": beside_labels(lambda _: 1.0 * CMPM(on="logits", where=_SEEN)),
    "cmpc": beside_labels(lambda lesson: 1.0 * CMPC(lesson.classes, lesson.classes, on="logits", where=_SEEN)),
}
LOSSES: dict[str, Train] = {**RESPONSE, **INTERMEDIATE, **RELATION, **INFORMATION}

# Losses that this table cannot hold -> why.
LEFT_OUT = {
    "Consistency": "the student's moving average, see mean_teacher",
    "ConfidenceWeighted": "a generation before, see ban_cwtm",
    "GuardedKL": "no row of its own beside KL",
    "OSKD": "the student as its own teacher, see oskd",
    "BCE": "labels of several classes at once",
    "FSP": "two layers in each model, of equal widths in both",
    "IRGEdgeTransform": "two layers in each model",
    "RepresentationGraph": "two teachers, see graph_distillation",
    "IRGTransform": "two layers of equal width in each model",
    "VCD": "two views of every node",
    "AttentiveHint": "real-valued targets, see benchmarks.recsys --task ratings",
    "AttentiveImitation": "real-valued targets, see benchmarks.recsys --task ratings",
    "OutlierRejection": "real-valued targets, see benchmarks.recsys --task ratings",
    "TeacherBounded": "real-valued targets, see benchmarks.recsys --task ratings",
}
