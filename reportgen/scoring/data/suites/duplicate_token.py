"""Duplicate token: the word of a list that stands in it twice."""

from collections.abc import Iterator
from functools import partial
from random import Random

from reportgen.core.suites import Suite
from reportgen.scoring.data.suites.common.drawing import Drawn, Row, drawn
from reportgen.scoring.data.suites.common.words import NOUNS

TEMPLATES = (
    "{words}. The word that stands twice is",
    "List: {words}. Repeated word:",
    "In the list {words}, the repeated word is",
    "She said: {words}. The word she said two times was",
    "Words: {words}\nDuplicate:",
    "Find the duplicate. {words}. Answer:",
    "{words}. Only one of these words appears twice, namely",
    "Which word occurs twice in {words}? It is",
)


def _write(template: str, random: Random) -> Drawn:
    words = random.sample(NOUNS, random.randint(4, 7))
    answer, foil = random.sample(words, 2)
    place = random.randint(1 + max(words.index(answer), words.index(foil)), len(words))
    prompt, corrupted = (
        template.format(words=", ".join([*words[:place], twice, *words[place:]])) for twice in (answer, foil)
    )
    return Drawn(prompt, answer, foil, corrupted)


def make(seed: int) -> Iterator[Row]:
    """Write lists of words of which one stands twice."""
    return drawn("Duplicate token", seed, {t: partial(_write, t) for t in TEMPLATES})


SUITE = Suite(
    "duplicate_token",
    "duplicate token: the word of a list that stands in it twice",
    make,
    order=70,
    tokens=1,
    measures="Whether the model names the one word of a list that is repeated, against another word of the list. In "
    "the counterfactual prompt that other word is repeated in its place.",
    source="Duplicate-token heads: Wang et al. 2022 (arXiv 2211.00593), section 3; lists of our own.",
    known="In the circuit of indirect object identification in GPT-2 small, L0H1, L0H10 and L3H0 look from a name to "
    "its earlier copy; heads of later layers make use of what they write.",
    pitfalls="The question needs more than duplicate detection: a model too small to understand it may have the "
    "heads and still be at chance. The repeated word stands twice in the prompt, which alone makes it more probable.",
)
