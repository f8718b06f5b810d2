"""Long descriptions of figures: chart, axes, scale, statistics, and what was found."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from reportgen.core.blocks import written
from reportgen.core.findings import Finding
from reportgen.core.scores import Head, HeadScores
from reportgen.core.sentences import telling_digits
from reportgen.rendering.format import count, number
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.plots.drawing import BlockStyle, layer_means
from reportgen.rendering.plots.scale import Scale

MOST = 8  # findings named in the description of one task's map


def axes(scores: HeadScores, style: BlockStyle) -> str:
    """Return ``32 layers (rows, layer 0 at the top) by 32 heads (columns)``."""
    return f"{count(scores.n_layers, 'layer')} (rows, {style.layers}) by {count(scores.n_heads, 'head')} (columns)"


def scale(shown: Scale, unit: str) -> str:
    """Return what colour stands for, and from where to where."""
    how = ", diverging around 0, with a dash on what is clearly negative" if shown.signed else ""
    low, high = (number(end, telling_digits((shown.low, shown.high))) for end in (shown.low, shown.high))
    return f"Colour is {unit}, from {low} to {high}{how}."


def statistics(scores: HeadScores, t: int) -> str:
    """Return a task's median, middle and largest head, and its layers of highest and lowest mean."""
    panel = scores.importance[t].astype(float)
    present = panel[~np.isnan(panel)]
    digits = _digits(scores, t)
    low, middle, high = (number(float(x), digits) for x in np.percentile(present, (10, 50, 90)))
    means = layer_means(panel)
    most, least = int(np.nanargmax(means)), int(np.nanargmin(means))
    layers = (
        f" Layer {most} has the highest mean ({number(float(means[most]), digits)}), layer {least} the lowest "
        f"({number(float(means[least]), digits)})."
    )
    return (
        f"Median head {middle}, middle 80 % of heads {low} to {high}, largest head {largest(scores, t)}."
        f"{layers if most != least and scores.whole else ''}"
    )


def _digits(scores: HeadScores, t: int) -> int:
    """Return the digits that tell a task's scores apart."""
    values = scores.importance[t][scores.present].astype(float)
    return telling_digits((float(values.min()), float(values.max())))


def largest(scores: HeadScores, t: int) -> str:
    """Return the head of largest absolute value with its value, or how many heads share it."""
    panel = scores.importance[t]
    layer, head = np.unravel_index(np.nanargmax(np.abs(panel)), panel.shape)
    digits = _digits(scores, t)
    tied = int((np.abs(panel) == np.abs(panel[layer, head])).sum())
    if tied > 1:
        return f"{tied:,} heads tied at {number(abs(float(panel[layer, head])), digits)}"
    return f"{written(scores.block, Head(int(layer), int(head)))} ({number(float(panel[layer, head]), digits)})"


def found(findings: Sequence[Finding], most: int = MOST) -> str:
    """Return the sentences of a map's findings as a paragraph, most important first."""
    return " ".join(found_each(findings, most))


def found_each(findings: Sequence[Finding], most: int = MOST) -> list[str]:
    """Return the sentences of a map's findings, most important first, and how many are left out."""
    sentences = [printable(f.sentence) for f in findings if f.sentence][:most]
    left = len(findings) - len(sentences)
    more = [f"{count(left, 'further finding')} {'stands' if left == 1 else 'stand'} below."] if left else []
    return [*sentences, *more] if sentences else ["Nothing was found in this map."]


def layers_of(values: Float[np.ndarray, "layer head"], top: int) -> str:
    """In which layers a count reaches its top."""
    layers = np.flatnonzero((values == top).any(axis=1)).tolist()
    named = ", ".join(map(str, layers[:6])) + (f" and {len(layers) - 6} more" if len(layers) > 6 else "")
    return f"layer {named}" if len(layers) == 1 else f"layers {named}"
