"""What the findings may and may not be taken to mean: general guidance, chosen by what was found."""

from typing import Any

from reportgen.rendering.context import Report
from reportgen.rendering.sections.common import Section

# kinds: guidance. It speaks of what such a finding can show, never of this model's inner workings.
GUIDANCE: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("cluster", "row_segment"),
        "Regions of neighbouring heads",
        "A region says that high values lie closer together than they would if the heads of each layer were shuffled. "
        "Heads of one layer have no order that the network knows of, so adjacency within a layer carries no functional "
        "meaning of its own; a useful next question is whether ablating the region changes the task more than ablating "
        "equally many other heads of the same layers.",
    ),
    (
        ("anomaly", "scattered_heads"),
        "Single outstanding heads",
        "A head that stands out is a candidate for closer study. Its value may be overestimated, because it was chosen "
        "for being large; scoring fresh examples would show how much.",
    ),
    (
        ("cross_task_head",),
        "Heads shared by tasks",
        "A head that ranks high on many tasks may serve what the tasks have in common, which can be as general as "
        "producing any text. A control task of neutral text would tell these cases apart.",
    ),
    (
        ("layer_gradient", "diagonal_gradient", "weakest_layers", "sparse_layers"),
        "Differences between layers",
        "Scores of different layers need not be commensurable: the scale of a head’s output can change with depth. "
        "A trend over layers may therefore reflect scale as well as importance.",
    ),
    (
        ("concentration",),
        "Concentration",
        "How few heads hold half of the importance depends on the scoring method and on noise, which spreads "
        "importance over all heads. Compare it between tasks scored in the same way, not between methods.",
    ),
)


def view(report: Report) -> dict[str, Any] | None:
    """The guidance for the kinds that were found; None where the study switches it off."""
    if not report.study.report.interpretation:
        return None
    kinds = {f.kind for f in report.findings.findings}
    chosen = [(title, text) for wanted, title, text in GUIDANCE if kinds & set(wanted)]
    intervened = any(f.verdict in ("confirmed", "refuted", "undecided") for f in report.findings.findings)
    return {"guidance": chosen, "intervened": intervened, "exact": report.scores.method.family == "ablation"}


SECTION = Section("interpretation", "Interpretation", view)
