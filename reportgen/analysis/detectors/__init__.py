"""One file per kind of finding. A detector sees the outcomes of those before it, so the order matters."""

from reportgen.analysis.detectors import (
    absence,
    anomaly,
    cluster,
    competence,
    concentration,
    cross_task_head,
    diagonal_gradient,
    head_band,
    inert_heads,
    layer_band,
    layer_band_contrast,
    layer_gradient,
    method_agreement,
    out_of_range,
    reliability,
    row_segment,
    scattered_heads,
    sparse_layers,
    specialist_head,
    task_similarity,
    weakest_layers,
)
from reportgen.analysis.view import Detector
from reportgen.core.plugins import Loaded, loaded

DETECTORS: tuple[Detector, ...] = (
    out_of_range.DETECTOR,
    competence.DETECTOR,
    reliability.DETECTOR,
    cluster.DETECTOR,
    row_segment.DETECTOR,
    head_band.DETECTOR,
    anomaly.DETECTOR,
    cross_task_head.DETECTOR,
    specialist_head.DETECTOR,
    diagonal_gradient.DETECTOR,
    layer_gradient.DETECTOR,
    layer_band.DETECTOR,
    layer_band_contrast.DETECTOR,
    scattered_heads.DETECTOR,
    weakest_layers.DETECTOR,
    sparse_layers.DETECTOR,
    concentration.DETECTOR,
    task_similarity.DETECTOR,
    inert_heads.DETECTOR,
    method_agreement.DETECTOR,
    absence.DETECTOR,
)
GROUP = "reportgen.detectors"
JUDGED = "causal_validation"  # the one kind of finding that no detector makes


def third_party() -> tuple[Loaded[Detector], ...]:
    """Detectors of other packages."""
    return loaded(GROUP, Detector, lambda d: d.kind, [*(d.kind for d in DETECTORS), JUDGED])


def known() -> tuple[Detector, ...]:
    """All detectors in the order in which they run: the last of ours tells of every search that found nothing."""
    others = (each.record for each in third_party())
    return (*DETECTORS[:-1], *(d for d in others if d is not None), DETECTORS[-1])
