"""Subject–verb agreement, with and without nouns of the other number in between."""

from collections.abc import Iterator

from reportgen.core.suites import Suite
from reportgen.scoring.data.suites.common.agreeing import ACROSS, PLAIN, writers
from reportgen.scoring.data.suites.common.drawing import Row, drawn, in_turn


def make(seed: int) -> Iterator[Row]:
    """Write the beginnings of sentences up to the verb."""
    tasks = {"Agreement": PLAIN, "Agreement across an attractor": ACROSS}
    return in_turn([drawn(task, seed, writers(templates)) for task, templates in tasks.items()])


SUITE = Suite(
    "agreement",
    "subject–verb agreement, with and without a noun of the other number in between",
    make,
    order=40,
    tokens=1,
    measures="Whether the verb takes the number of its subject: “The keys near the cabinet” goes on with are. In the "
    "second task a noun of the other number (an attractor) stands closer to the verb. The counterfactual prompt "
    "changes the number of the subject alone.",
    source="Linzen et al. 2016 (arXiv 1611.01368); Marvin and Linzen 2018 (arXiv 1808.09031); sentences of our own.",
    known="Models that agree without attractors fail more often across them. Finlayson et al. 2021 (arXiv "
    "2106.06087) find that models use similar neurons for sentences of similar structure, and others for other "
    "structures.",
    pitfalls="The subject may agree by nearness alone in the first task; compare both. Was and were, has and have "
    "differ in how common they are: the choice between them is not symmetric.",
)
