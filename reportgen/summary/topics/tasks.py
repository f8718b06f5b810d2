"""Task differentiation: what tasks share and what sets them apart."""

from reportgen.core.topics import Topic

TOPIC = Topic("tasks", "Task differentiation", "what tasks share and what sets them apart", order=30)
