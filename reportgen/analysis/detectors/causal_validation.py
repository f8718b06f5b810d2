"""Causal validation: what knocking heads out showed. Interventions make these findings, no search of the scores."""

from reportgen.core.kinds import Kind

DOC = """What knocking heads out showed.

Made by the validation, not by the analysis. Of each task's first heads: what their knock-out did to its held-out
examples, whether they are needed, and whether they cost more than other heads of their layers. Of all heads one by one:
those that cost a single task, those that several tasks share, those that cost a task more than its first heads do, and
whether the score chooses better than chance within layers. Of the scored methods: whose order of heads has the largest
area under its knock-out curve, and whether the scores agree better with knock-outs to zero or to the mean.
"""
PRIORITY = {
    "necessary or not": 0.84,
    "undecided": 0.3,
    "overlooked": 0.835,
    "order of heads": 0.83,
    "specialists": 0.82,
    "shared heads": 0.81,
    "choice": 0.45,
    "reference": 0.4,
}

DETECTOR = Kind(
    "causal_validation",
    order=900,
    doc=DOC,
    topic="causes",
    home="validation",
    priority=PRIORITY,
    signed=True,
    apart=True,
)
