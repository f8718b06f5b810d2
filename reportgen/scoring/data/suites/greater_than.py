"""Greater than: a year after another one."""

from collections.abc import Iterator
from functools import partial
from random import Random

from reportgen.core.suites import Suite
from reportgen.scoring.data.suites.common.drawing import Drawn, Row, drawn

EVENTS = (
    "war siege project strike mission voyage study reign crisis campaign dispute trial tour exile conflict drought "
    "festival expedition rebellion treaty"
).split()
TEMPLATES = (
    "The {event} lasted from the year {start} to the year",
    "The {event} began in {start} and ended in",
    "The {event} went on from {start} until",
    "Historians date the {event} from {start} to",
    "The {event} of those days ran from {start} to",
    "Started in {start}, the {event} was over in",
    "People remember that the {event} began in {start} and came to its end in",
    "The records of the {event} start in {start} and stop in",
)


def _write(template: str, random: Random) -> Drawn:
    century, begun = random.randint(11, 18), random.randint(12, 88)
    say = partial(template.format, event=random.choice(EVENTS))
    later, earlier = random.randint(begun + 2, 98), random.randint(3, begun - 2)
    # published: after a start in the year 01 both are right, so that nothing chooses between them
    prompt, corrupted = say(start=f"{century}{begun}"), say(start=f"{century}01")
    return Drawn(prompt, f"{century}{later}", f"{century}{earlier:02}", corrupted)


def make(seed: int) -> Iterator[Row]:
    """Write sentences that ask for the year in which something ended."""
    return drawn("Greater than", seed, {t: partial(_write, t) for t in TEMPLATES})


SUITE = Suite(
    "greater_than",
    "greater than: the year in which something ends comes after the one in which it began",
    make,
    order=30,
    measures="Whether the model prefers a year after the one in which something began to a year before it, of the "
    "same century. In the counterfactual prompt it began in the year 01 of that century, so that both would do.",
    source="Hanna et al. 2023, How does GPT-2 compute greater-than? (arXiv 2305.00586); templates of our own.",
    known="In GPT-2 small heads of layers 5–9 (L5H5, L6H1, L6H9, L7H10, L8H11, L9H1) read the year at the last "
    "position, and feed-forward layers 8–11 compare.",
    pitfalls="Tokenizers cut years differently, in two halves or in digits. What answer and foil share, the century, "
    "is scored too, unless the metric is logit_difference, in which it cancels.",
)
