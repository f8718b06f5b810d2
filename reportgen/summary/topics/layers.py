"""Layer-specific patterns: in which layers importance lies, and how it changes along them."""

from reportgen.core.topics import Topic

TOPIC = Topic(
    "layers", "Layer-specific patterns", "in which layers importance lies, and how it changes along them", order=10
)
