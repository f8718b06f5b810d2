"""Limits: what this report cannot tell, as far as it can be known from the scores and findings."""

from collections.abc import Iterator

from reportgen.core.kinds import caveats
from reportgen.rendering import format as fmt
from reportgen.rendering.context import Report
from reportgen.rendering.plots.canvas import printable
from reportgen.rendering.sections.common import Section

FIRST = 4  # limits on the PDF's second page, the last of them the one that holds of every report
ALWAYS = "Findings are about these tasks as given, not about the abilities that their names suggest."
NAMED = 4  # tasks by name


def view(report: Report) -> dict[str, object] | None:
    """Return the limits that apply, the gravest first, and the caveats in use; the PDF says the first of them before
    its appendix.
    """
    told, found = [*_limits(report), ALWAYS], report.findings.findings
    meant = [(code, text) for code, text in caveats().items() if any(code in f.caveats for f in found)]
    if report.printed:
        told = [*told[FIRST - 1 : -1], *_searches(report)[1:]]
    return {"limits": told, "caveats": meant} if told or meant else None


def brief(report: Report) -> dict[str, object]:
    """Return the gravest limits, and what was looked for and not found."""
    return {"limits": [*[*_limits(report)][: FIRST - 1], ALWAYS], "searches": _searches(report)[:1]}


def _searches(report: Report) -> list[str]:
    """Return what was looked for and not found, and then, apart, what such searches would miss."""
    searches = report.claims.searches
    return [printable(text) for text in (searches.first, searches.rest) if text] if searches else []


def _limits(report: Report) -> Iterator[str]:
    """Yield what applies to this report, the gravest first."""
    scores, shared = report.scores, report.scores.model.kv_groups
    examples = [e for e in scores.examples if e is not None]
    if scores.synthetic:
        yield "The scores are synthetic: they show what the analysis says of a known layout, nothing about any model."
    if weak := [t.name for t in report.tasks if t.at_chance]:
        yield f"The model is not shown to be above chance on {_some(weak)}; importance there means little."
    if report.untried is not None and not scores.synthetic:
        why = f" ({report.untried})" if report.untried else " yet"
        yield f"No head was knocked out{why}: nothing here shows that a task needs its heads."
    if not examples:
        yield "There are no per-example scores: nothing is held out, and how values would vary is not known."
    if any(e.ordered for e in examples):
        yield (
            "Examples of some tasks are ordered and depend on each other: fewer independent ones stand behind their "
            "intervals than there are rows."
        )
    if (
        all(t.accuracy is None for t in scores.tasks)
        and not scores.synthetic
        and "accuracy" not in scores.method.overall
    ):
        yield "How well the model does the tasks is not recorded; on one that it cannot do, importance means little."
    yield from _raced(report)
    if scores.method.limit:
        yield printable(scores.method.limit)
    if report.validation is not None and report.validation.trials:
        yield "Verdicts hold for the sets, interventions and examples tried: for heads not needed, others may stand in."
    if examples:
        yield "Intervals speak of other examples like these, not of other models, seeds, wordings or tasks."
    if shared is not None and any(b.n_heads != shared for b in report.blocks):
        yield f"Heads share {shared} key/value groups per layer: neighbouring heads of a group are not independent."
    elif shared is None and not scores.synthetic:
        yield "Whether heads share keys and values is not recorded; those that do are not independent."
    if unseen := _unseen(report):
        yield f"Where the named heads look on single examples is not shown: {printable(unseen)}."
    if not report.others:
        yield "Only one scoring method was used; others can rank heads differently."


def _some(names: list[str]) -> str:
    more = len(names) - NAMED
    return f"{', '.join(names[:NAMED])} and {more} more tasks" if more > 1 else fmt.ordinal_list(names)


def _raced(report: Report) -> Iterator[str]:
    """Yield what a race for the top heads cannot promise, where there was one."""
    methods = [blocks[0].method for blocks in (report.blocks, *report.others.values())]
    settings = next((m.parameters for m in methods if m.parameters.get("examples") == "adaptive"), None)
    if settings is not None:
        top = f" {settings['top_k']}" if settings.get("top_k") else ""
        yield (
            f"Heads were raced for the top{top} of each task: those that left early have the estimate of the examples "
            "fixed beforehand. That the top is the true one, but for ties, is meant to hold with probability "
            f"{settings['confidence']} for each task; the comparisons are asymptotic, and effects have no known bound. "
            "A head that matters in very few examples, such as one in a hundred, can be missed."
        )


def _unseen(report: Report) -> str | None:
    """Why the heads' attention patterns are not shown; None where they are, or where the study wants none."""
    if report.patterns is not None:
        return report.patterns.problem
    if report.study.scores is not None and report.study.report.patterns and not report.scores.synthetic:
        return "the scores were read from a file, without the model"
    return None


SECTION = Section("limits", "Limits", view, order=130, brief=brief)
