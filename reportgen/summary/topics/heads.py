"""Head specialization: which heads carry a task, alone or in groups, and which do not matter."""

from reportgen.core.topics import Topic

TOPIC = Topic(
    "heads", "Head specialization", "which heads carry a task, alone or in groups, and which do not matter", order=20
)
