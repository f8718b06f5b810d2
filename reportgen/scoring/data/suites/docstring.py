"""Docstring arguments: the next argument that a function's documentation describes."""

from collections.abc import Iterator
from functools import partial
from random import Random

from reportgen.core.suites import Suite
from reportgen.scoring.data.suites.common.drawing import Drawn, Row, drawn

NAMES = (
    "load size file last first page line user item list data path code text time date year name type port host mode "
    "key value index count model image color width height length start end source target result label group order "
    "parent child state level score limit"
).split()
WORDS = (
    "oil column piece crime population unit dark sound rock mirror song river house winter music paper glass stone "
    "light water metal garden forest market station bridge"
).split()
FUNCTIONS = "port run make send call push find draw test open read write move check build".split()
# what begins the description of an argument
FORMS = {
    ":param": "    :param {name}: {words}\n",
    "@param": "    @param {name} {words}\n",
    "Args:": "    - {name}: {words}\n",
    "Parameter": "    Parameter {name} : {words}\n",
}
COUNTS = (4, 5, 6)  # arguments


def _write(form: str, count: int, random: Random) -> Drawn:
    names = random.sample(NAMES, count + 1)
    extra = names.pop()
    told = random.randint(2, count - 2)  # arguments that are described before the one in question
    function, about, words = random.choice(FUNCTIONS), random.sample(WORDS, 3), [random.sample(WORDS, 2) for _ in names]
    line = FORMS[form]

    def text(arguments: list[str]) -> str:
        pairs = zip(arguments[:told], words[:told], strict=True)
        described = "".join(line.format(name=name, words=" ".join(two)) for name, two in pairs)
        head = f'def {function}(self, {", ".join(arguments)}):\n    """{" ".join(about)}\n\n'
        return head + described + line.partition(" {name}")[0]

    answer = names[told]
    # published: other arguments, of which the foil then stands in the answer's place
    other = [extra if name == answer else name for name in names]
    return Drawn(text(names), answer, extra, text(other), tuple(random.sample([*names, extra], count + 1)))


def make(seed: int) -> Iterator[Row]:
    """Write functions whose documentation has come to one of their arguments."""
    writers = {f"{form}, {count} arguments": partial(_write, form, count) for count in COUNTS for form in FORMS}
    return drawn("Docstring arguments", seed, writers)


SUITE = Suite(
    "docstring",
    "docstring arguments: which argument of a function is described next",
    make,
    order=140,
    tokens=1,
    measures="Whether the model goes on with the argument whose turn it is, against all other arguments and a name "
    "that the counterfactual prompt holds in its place.",
    source="Heimersheim and Janiak 2023, A circuit for Python docstrings in a 4-layer attention-only transformer; "
    "functions of our own.",
    known="In the four-layer model three levels of heads compose: previous-token heads, induction-like heads that "
    "find the argument described last, and argument movers (L3H0, L3H6).",
    pitfalls="The model must have read code. An induction head alone cannot solve it, because the argument follows "
    "another one in the definition and a description in the documentation.",
)
