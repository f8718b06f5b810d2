"""Diagonal gradients: importance that changes along layers and along heads at once."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import stats
from typing_extensions import TypedDict

from reportgen.analysis.detectors.common import guidance
from reportgen.analysis.statistics.scan_statistic import centred_heads, normal_scores
from reportgen.analysis.statistics.trends import (
    SHORTEST,
    attending,
    layer_levels,
    null_autocorrelations,
    range_taus,
    trend_p,
)
from reportgen.analysis.view import Detector, Outcome, View, found_cells
from reportgen.core.caveats import HEAD_ORDER
from reportgen.core.findings import Effect, Finding
from reportgen.core.kinds import closed
from reportgen.core.stats import benjamini_hochberg

DOC = """Importance that changes along layers and along heads at once.

Both must hold (intersection–union): a slope of within-layer van der Waerden scores along heads, against heads
shuffled within each layer (the slope's exact permutation variance, normal approximation); and Kendall's τ of the
layers' levels (see ``layer_gradient``) over all layers, |τ| ≥ .3, against a first-order autoregressive series. The
larger p counts; Benjamini–Hochberg over tasks. Found regions are left out.
Silent with fewer than 8 layers or heads, where key/value groups are shared, and where only one axis has a slope or
the opposite quarters of the map do not differ that way.
"""
PRIORITY = {"tested": 0.7}  # and .05 times |τ|
STRENGTH = 0.3  # of |τ|: less than a layer gradient's, since heads must show a slope as well


class Corners(TypedDict):
    """Median importance in the bright and in the dark quarter of the map."""

    bright: float
    dark: float


@closed
class Data(Corners):
    """``slope`` is that of the normal scores from the first to the last head, ``z`` the same standardised; the p-values
    of either axis; and where along it importance is larger.
    """

    slope: float
    z: float
    p_heads: float
    p_layers: float
    toward_layers: Literal["higher", "lower"]
    toward_heads: Literal["higher", "lower"]


def _able(view: View) -> bool:
    return min(len(attending(view)), view.scores.n_heads) >= SHORTEST and view.group_size == 1


def detect(view: View, earlier: Sequence[Outcome]) -> Outcome:
    """Tasks with a slope along both axes."""
    names = view.scores.task_names
    if not _able(view):
        return Outcome("diagonal_gradient")
    family = view.family("diagonal_gradient", len(names), "Benjamini–Hochberg over tasks")
    levels = np.stack([layer_levels(view, t, earlier) for t in range(len(names))])
    phis = null_autocorrelations(levels, view.settings.permutations, view.settings.seed)
    rows = [_axes(view, t, earlier, levels[t], phis[t]) for t in range(len(names))]
    q = benjamini_hochberg([max(r["p_heads"], r["p_layers"]) for r in rows])
    findings: list[Finding] = []
    silent: dict[str | None, float] = {}
    for t, row in enumerate(rows):
        corners = _corners(view, t, row, earlier)
        if q[t] > family.alpha or abs(row["tau"]) < STRENGTH or corners["bright"] <= corners["dark"]:
            silent[names[t]] = q[t]
            continue
        layers, heads = ("bottom" if row["tau"] > 0 else "top"), ("right" if row["z"] > 0 else "left")
        data: Data = {
            "slope": row["slope"],
            "z": row["z"],
            "p_heads": row["p_heads"],
            "p_layers": row["p_layers"],
            "toward_layers": "higher" if layers == "bottom" else "lower",
            "toward_heads": "higher" if heads == "right" else "lower",
            **corners,
        }
        findings.append(
            view.finding(
                "diagonal_gradient",
                t,
                "tested",
                PRIORITY["tested"] + 0.05 * abs(row["tau"]),
                layers=(int(attending(view)[0]), int(attending(view)[-1])),
                data=data,
                test=view.test(
                    "slope along heads and along layers",
                    "heads shuffled in each layer; autoregressive layers",
                    row["z"],
                    max(row["p_heads"], row["p_layers"]),
                    q[t],
                    family,
                    view.settings.permutations,
                ),
                effect=Effect("Kendall's τ of the layers' mean ranks", row["tau"]),
                caveats=view.caveats(t, HEAD_ORDER),
            )
        )
    return Outcome("diagonal_gradient", findings, family, silent)


def _axes(
    view: View, t: int, earlier: Sequence[Outcome], levels: Float[np.ndarray, "layer"], phi: int
) -> dict[str, float]:
    keep = view.present & ~found_cells(earlier, view.scores.task_names[t], view.present.shape)
    scores, heads = normal_scores(view.maps[t], keep), centred_heads(keep)
    count = np.maximum(keep.sum(axis=1), 2)
    variance = float(((scores**2).sum(axis=1) * (heads**2).sum(axis=1) / (count - 1)).sum())
    z = float((scores * heads).sum() / np.sqrt(variance)) if variance > 0 else 0.0
    power = float((heads**2).sum())
    slope = float((scores * heads).sum() / power) * (view.scores.n_heads - 1) if power else 0.0
    tau = float(range_taus(levels[None])[0, 0, -1])
    p_layers = trend_p(abs(tau), 1, phi, len(levels), view.settings.permutations, view.settings.seed)
    return {
        "z": z,
        "slope": slope,
        "p_heads": float(2 * stats.norm.sf(abs(z))),
        "tau": tau,
        "p_layers": p_layers,
    }


def _corners(view: View, t: int, row: dict[str, float], earlier: Sequence[Outcome]) -> Corners:
    """Medians of the bright and of the dark quarter of the map, found regions left out."""
    keep = view.present & ~found_cells(earlier, view.scores.task_names[t], view.present.shape)
    layer, head = np.indices(keep.shape)
    late, right = layer >= keep.shape[0] // 2, head >= keep.shape[1] // 2
    bright = (late == (row["tau"] > 0)) & (right == (row["z"] > 0)) & keep
    dark = (late != (row["tau"] > 0)) & (right != (row["z"] > 0)) & keep
    values = view.report_maps[t]
    return {
        "bright": float(np.median(values[bright])) if bright.any() else 0.0,
        "dark": float(np.median(values[dark])) if dark.any() else 0.0,
    }


DETECTOR = Detector(
    "diagonal_gradient",
    detect,
    order=100,
    doc=DOC,
    topic="layers",
    data=Data,
    caveats=(HEAD_ORDER,),
    priority=PRIORITY,
    guidance=guidance.LAYERS,
    missed="under 1 SD a diagonal",
    weight=1,
    able=_able,
)
