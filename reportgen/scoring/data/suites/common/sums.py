"""Sums of small numbers, in words and in digits."""

from functools import partial
from random import Random

from reportgen.scoring.data.suites.common.drawing import Drawn, Writer
from reportgen.scoring.data.suites.common.words import NUMBERS

# how two numbers are joined: the result, and what the sign is called
SIGNS = {"plus": "+", "minus": "-", "times": "*"}
SPOKEN = (
    "{a} {sign} {b} is",
    "{a} {sign} {b} equals",
    "Q: How much is {a} {sign} {b}?\nA:",
    "We know that {a} {sign} {b} makes",
)
WRITTEN = ("{a} {mark} {b} =", "Q: {a} {mark} {b}\nA:", "Calculate: {a} {mark} {b} =")
MOST = 20


def result(sign: str, a: int, b: int) -> int:
    """Return what a sign makes of two numbers."""
    return a + b if sign == "plus" else a - b if sign == "minus" else a * b


def _numbers(sign: str, random: Random) -> tuple[int, int, int]:
    """Draw two numbers, and another first one that makes another result: none of them leaves the spoken numbers."""
    while True:
        a, b = random.randint(1, MOST - 1), random.randint(1, 9)
        others = [n for n in range(max(1, a - 5), min(MOST, a + 6)) if n != a and 0 <= result(sign, n, b) <= MOST]
        if 0 <= result(sign, a, b) <= MOST and others:
            return a, b, random.choice(others)


def calculation(template: str, sign: str, random: Random) -> Drawn:
    """Write a calculation; the counterfactual prompt changes its first number, and the foil is what it makes then."""
    a, b, other = _numbers(sign, random)
    say = NUMBERS.__getitem__ if template in SPOKEN else str
    prompt, corrupted = (template.format(a=say(n), b=say(b), sign=sign, mark=SIGNS[sign]) for n in (a, other))
    return Drawn(prompt, say(result(sign, a, b)), say(result(sign, other, b)), corrupted)


def writers(sign: str) -> dict[str, Writer]:
    """Return a writer for each template of a sign."""
    return {f"{sign}: {t}": partial(calculation, t, sign) for t in (*SPOKEN, *WRITTEN)}
