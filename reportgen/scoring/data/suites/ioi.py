"""Indirect object identification: of two names, the one that does not act."""

from collections.abc import Iterator
from functools import partial
from random import Random

from reportgen.core.suites import Suite
from reportgen.scoring.data.suites.common.drawing import Drawn, Row, drawn
from reportgen.scoring.data.suites.common.words import MEN, PLACES, THINGS, WOMEN

# {a} and {b} are the two names in either order, {s} the one that acts
TEMPLATES = (
    "When {a} and {b} went to the {place}, {s} gave a {thing} to",
    "Then, {a} and {b} went to the {place}. {s} gave a {thing} to",
    "After {a} and {b} left the {place}, {s} handed a {thing} to",
    "While {a} and {b} were at the {place}, {s} passed a {thing} to",
    "{a} and {b} met at the {place}, and {s} showed a {thing} to",
    "Then {a} and {b} had a long talk at the {place}. Afterwards {s} sent a {thing} to",
    "Friends {a} and {b} found a {thing} at the {place}. {s} gave it to",
    "Today {a} and {b} were working at the {place}. {s} decided to give a {thing} to",
    "The {place} that {a} and {b} went to had a {thing}. {s} gave it to",
    "As soon as {a} and {b} got to the {place}, {s} offered a {thing} to",
    "Yesterday {a} and {b} walked to the {place} together, where {s} lent a {thing} to",
    "Because {a} and {b} were early at the {place}, {s} had time to buy a {thing} for",
)


def _write(template: str, random: Random) -> Drawn:
    a, b = random.sample([*MEN, *WOMEN], 2)
    subject, other = random.sample((a, b), 2)
    say = partial(template.format, a=a, b=b, place=random.choice(PLACES), thing=random.choice(THINGS))
    return Drawn(say(s=subject), other, subject, say(s=other))


def make(seed: int) -> Iterator[Row]:
    """Write sentences in which one of two people gives something to the other."""
    return drawn("Indirect object identification", seed, {t: partial(_write, t) for t in TEMPLATES})


SUITE = Suite(
    "ioi",
    "indirect object identification: of two names, the one that does not act",
    make,
    order=20,
    tokens=1,
    measures="Whether the model names the person who receives, of two people of whom one acts: “When Mary and John "
    "went to the store, John gave a drink to” goes on with Mary. The counterfactual prompt lets the other one act, so "
    "that answer and foil change places and all else stays.",
    source="Wang et al. 2022, Interpretability in the Wild (arXiv 2211.00593); templates of our own.",
    known="In GPT-2 small a circuit of 26 heads is described: duplicate-token and induction heads mark the repeated "
    "name, S-inhibition heads keep it from being copied, name movers (L9H6, L9H9, L10H0) copy the other one, and "
    "backup name movers take their place once they are knocked out.",
    pitfalls="Backups hide what single knock-outs cost; heads that work against the answer (negative name movers) "
    "need a signed score. The published circuit was found with another counterfactual (three new names).",
)
