"""Facts about countries: capital, language, continent."""

from collections.abc import Iterator

from reportgen.core.suites import Suite
from reportgen.scoring.data.suites.common.drawing import Row, drawn, in_turn
from reportgen.scoring.data.suites.common.facts import RELATIONS, writers


def make(seed: int) -> Iterator[Row]:
    """Write sentences that end in a country's capital, language or continent."""
    return in_turn([drawn(f"Country to {relation}", seed, writers(relation)) for relation in RELATIONS])


SUITE = Suite(
    "country_facts",
    "facts about countries: capital, language, continent",
    make,
    order=80,
    tokens=1,
    measures="Whether the model knows a country's capital, official language and continent, against three others. "
    "The counterfactual prompt names another country, whose capital is the foil.",
    source="Meng et al. 2022, Locating and Editing Factual Associations (arXiv 2202.05262), for the form; facts and "
    "templates of our own.",
    known="Geva et al. 2023 (arXiv 2304.14767): feed-forward layers enrich the subject's last token, and attention "
    "heads of the upper layers move the attribute to the last position. In SmolLM2-135M-Instruct L1H4 costs most "
    "where it is zeroed and little where its mean stands in: a head that the model needs for anything.",
    pitfalls="34 countries: rows of the three tasks repeat subjects, and what holds for these holds for common names "
    "of one token. Continents are guessed well from the continents' frequency.",
)
