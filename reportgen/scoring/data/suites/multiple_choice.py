"""Multiple choice: the letter of the right one of four."""

from collections.abc import Iterator
from functools import partial
from random import Random

from reportgen.core.suites import Suite
from reportgen.scoring.data.suites.common.drawing import Drawn, Row, drawn
from reportgen.scoring.data.suites.common.facts import COUNTRIES
from reportgen.scoring.data.suites.common.meanings import ALIKE, KINDS, OPPOSITES

LETTERS = "ABCD"
ARTICLE = {"a": "an", "e": "an", "i": "an", "o": "an", "u": "an"}


def _kind(random: Random) -> tuple[str, str, list[str]]:
    kinds = random.sample(list(KINDS), 4)
    right, *wrong = [random.choice(KINDS[kind]) for kind in kinds]
    return f"Which of these is {ARTICLE.get(kinds[0][0], 'a')} {kinds[0]}?", right, wrong


def _capital(random: Random) -> tuple[str, str, list[str]]:
    countries = random.sample(list(COUNTRIES), 4)
    right, *wrong = [COUNTRIES[c][0] for c in countries]
    return f"What is the capital of {countries[0]}?", right, wrong


def _opposite(random: Random) -> tuple[str, str, list[str]]:
    pairs = [random.sample(pair, 2) for pair in random.sample(OPPOSITES, 4)]
    return f"Which word is the opposite of {pairs[0][0]}?", pairs[0][1], [pair[1] for pair in pairs[1:]]


def _alike(random: Random) -> tuple[str, str, list[str]]:
    pairs = [random.sample(pair, 2) for pair in random.sample(ALIKE, 4)]
    return f"Which word means the same as {pairs[0][0]}?", pairs[0][1], [pair[1] for pair in pairs[1:]]


QUESTIONS = {"kind": _kind, "capital": _capital, "opposite": _opposite, "same meaning": _alike}
FORMS = {
    "A. …": ("Question: {q}\n", "{letter}. {text}\n", "Answer:"),
    "(A) …": ("{q}\n", "({letter}) {text}\n", "The letter of the right answer is"),
    "A: …": ("{q}\n", "{letter}: {text}\n", "The correct option is"),
}


def _write(question: str, form: str, random: Random) -> Drawn:
    asked, right, wrong = QUESTIONS[question](random)
    texts = random.sample([right, *wrong], 4)
    place = texts.index(right)
    other = random.choice([i for i in range(4) if i != place])
    swapped = [*texts]
    swapped[place], swapped[other] = texts[other], texts[place]
    head, option, end = FORMS[form]

    def text(of: list[str]) -> str:
        options = "".join(option.format(letter=letter, text=t) for letter, t in zip(LETTERS, of, strict=True))
        return head.format(q=asked) + options + end

    return Drawn(text(texts), LETTERS[place], LETTERS[other], text(swapped), tuple(LETTERS))


def make(seed: int) -> Iterator[Row]:
    """Write questions with four options each."""
    writers = {f"{question}, {form}": partial(_write, question, form) for form in FORMS for question in QUESTIONS}
    return drawn("Multiple choice", seed, writers)


SUITE = Suite(
    "multiple_choice",
    "multiple choice: the letter of the right one of four",
    make,
    order=130,
    tokens=1,
    measures="Whether the model answers with the letter of the right option. In the counterfactual prompt the right "
    "option and another one have changed places, so that its letter is the foil.",
    source="Lieberum et al. 2023 (arXiv 2307.09458) and Wiegreffe et al. 2024, Answer, Assemble, Ace (arXiv "
    "2407.15018), for the form; questions of our own.",
    known="“Correct letter” heads of the upper layers look at the letter of the right option (Chinchilla 70B). Small "
    "models are often near chance, for want of binding letters to options rather than of the knowledge.",
    pitfalls="Models of less than a billion parameters often prefer one letter whatever is asked: look at competence "
    "before anything else.",
)
