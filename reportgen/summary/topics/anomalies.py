"""Anomalies: single heads far from their surroundings, and numbers that cannot be."""

from reportgen.core.topics import Topic

TOPIC = Topic(
    "anomalies", "Anomalies", "single heads far from their surroundings, and numbers that cannot be", order=40
)
