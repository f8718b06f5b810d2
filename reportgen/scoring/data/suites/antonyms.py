"""Antonyms: the opposite of a word."""

from collections.abc import Iterator
from functools import partial
from random import Random

from reportgen.core.suites import Suite
from reportgen.scoring.data.suites.common.drawing import Drawn, Row, drawn
from reportgen.scoring.data.suites.common.meanings import OPPOSITES

SHOWN = 3  # pairs that are shown before the one in question
TEMPLATES = (
    "The opposite of {w} is",
    "{w} is the opposite of",
    "Not {w} but",
    "Q: What is the opposite of {w}?\nA:",
    "Antonym of {w}:",
    "If something is not {w} at all, it is",
)
LISTED = ("{w} -", "{w} ->", "{w}:", "Q: {w}\nA:")


def _write(template: str, shown: int, random: Random) -> Drawn:
    pairs = [random.sample(pair, 2) for pair in random.sample(OPPOSITES, shown + 2)]
    (word, answer), (other, foil), *before = pairs
    listed = "".join(f"{template.format(w=w)} {opposite}\n" for w, opposite in before)
    return Drawn(listed + template.format(w=word), answer, foil, listed + template.format(w=other))


def make(seed: int) -> Iterator[Row]:
    """Write sentences, and lists of pairs, that go on with a word's opposite."""
    asked = {template: partial(_write, template, 0) for template in TEMPLATES}
    listed = {f"{SHOWN} pairs, then {t}": partial(_write, t, SHOWN) for t in LISTED}
    return drawn("Antonyms", seed, {**asked, **listed})


SUITE = Suite(
    "antonyms",
    "antonyms: the opposite of a word, asked for or listed",
    make,
    order=90,
    tokens=1,
    measures="Whether the model names a word's opposite, asked for in a sentence or after three pairs that show what "
    "is wanted, against the opposite of another word, which the counterfactual prompt asks for.",
    source="Todd et al. 2023, Function Vectors in Large Language Models (arXiv 2310.15213), for the task; pairs of "
    "our own.",
    known="A few heads of the middle layers carry the function of such lists: their mean output, added elsewhere, "
    "makes the model answer with opposites (function vectors).",
    pitfalls="Some words have several opposites; the foil is then none of them, but the most probable word may be "
    "another right one. Sentences and lists are different tasks to a small model: look at the groups.",
)
