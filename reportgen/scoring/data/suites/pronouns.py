"""Gendered pronouns: he or she, by the name."""

from collections.abc import Iterator
from functools import partial
from random import Random

from reportgen.core.suites import Suite
from reportgen.scoring.data.suites.common.drawing import Drawn, Row, drawn
from reportgen.scoring.data.suites.common.words import JOBS, MEN, WOMEN

TEMPLATES = (
    "So {name} is such a good {job}, isn't",
    "{name} is a great {job}, isn't",
    "{name} went home early because",
    "Everyone likes {name}, and the {job} said that",
    "The {job} {name} was tired, so",
    "After {name} had talked to the {job},",
    "{name} wanted to become a {job} when",
    "When {name} came home,",
    "I asked {name} whether",
    "{name} told the children that",
    "That is what {name} said before",
    "We waited for {name} until",
)


def _write(template: str, random: Random) -> Drawn:
    names, pronouns = (random.choice(MEN), random.choice(WOMEN)), ("he", "she")
    which = random.randrange(2)
    say = partial(template.format, job=random.choice(JOBS))
    return Drawn(say(name=names[which]), pronouns[which], pronouns[1 - which], say(name=names[1 - which]))


def make(seed: int) -> Iterator[Row]:
    """Write sentences up to the pronoun that stands for their subject."""
    return drawn("Gendered pronouns", seed, {t: partial(_write, t) for t in TEMPLATES})


SUITE = Suite(
    "pronouns",
    "gendered pronouns: he or she, by the name",
    make,
    order=50,
    tokens=1,
    measures="Whether the pronoun takes the gender that a first name is usually given: “Susan is a great teacher, "
    "isn't” goes on with he or she. The counterfactual prompt holds a name of the other gender.",
    source="Mathwin and Corlouer 2023, Identifying a Preliminary Circuit for Predicting Gendered Pronouns in GPT-2 "
    "Small (a report of a research sprint), for the question tags; templates of our own.",
    known="That report describes the broad structure of a circuit in GPT-2 small, with a small share of its heads "
    "and positions. Chintam et al. 2023 (arXiv 2310.12611) look for the heads behind gender bias in the same model in "
    "three ways.",
    pitfalls="A name's usual gender is what texts hold, no fact about a person. Names of several tokens are passed "
    "over, and so are the languages that they are common in.",
)
