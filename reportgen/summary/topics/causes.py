"""What knocking out shows: what a task loses without the heads that were found."""

from reportgen.core.topics import Topic

TOPIC = Topic("causes", "What knocking out shows", "what a task loses without the heads that were found", order=50)
