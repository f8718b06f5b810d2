"""Causal validation: what knocking heads out showed. Interventions make these findings, no search of the scores."""

from reportgen.core.kinds import Kind

DOC = """What knocking heads out showed.

Made by the validation, not by the analysis: of each task's first heads, what their knock-out did to its held-out
examples, tested by permutation of matched sets of heads; and the scored method whose order of heads has the largest
area under its knock-out curve.
"""
PRIORITY = {"necessary or not": 0.84, "undecided": 0.3, "order of heads": 0.83}

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
