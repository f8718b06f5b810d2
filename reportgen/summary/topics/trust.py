"""How far to trust this: whether the model does the tasks, and whether the scores would come out the same again."""

from reportgen.core.topics import Topic

TOPIC = Topic(
    "trust",
    "How far to trust this",
    "whether the model does the tasks, and whether the scores would come out the same again",
    order=60,
)
