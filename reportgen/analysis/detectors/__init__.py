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
    layer_band,
    layer_band_contrast,
    layer_gradient,
    out_of_range,
    reliability,
    row_segment,
    scattered_heads,
    sparse_layers,
    task_similarity,
    weakest_layers,
)
from reportgen.analysis.view import Detector

DETECTORS: tuple[Detector, ...] = (
    out_of_range.DETECTOR,
    competence.DETECTOR,
    reliability.DETECTOR,
    cluster.DETECTOR,
    row_segment.DETECTOR,
    head_band.DETECTOR,
    anomaly.DETECTOR,
    cross_task_head.DETECTOR,
    diagonal_gradient.DETECTOR,
    layer_gradient.DETECTOR,
    layer_band.DETECTOR,
    layer_band_contrast.DETECTOR,
    scattered_heads.DETECTOR,
    weakest_layers.DETECTOR,
    sparse_layers.DETECTOR,
    concentration.DETECTOR,
    task_similarity.DETECTOR,
    absence.DETECTOR,
)
