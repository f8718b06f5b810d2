"""Facts about countries, as relations: each country with its capital, language and continent."""

from collections.abc import Mapping
from functools import partial
from random import Random

from reportgen.scoring.data.suites.common.drawing import Drawn, Writer

COUNTRIES = {
    country: tuple(values.split("/"))
    for country, values in {
        "France": "Paris/French/Europe",
        "Spain": "Madrid/Spanish/Europe",
        "Italy": "Rome/Italian/Europe",
        "Germany": "Berlin/German/Europe",
        "Austria": "Vienna/German/Europe",
        "Portugal": "Lisbon/Portuguese/Europe",
        "Greece": "Athens/Greek/Europe",
        "Poland": "Warsaw/Polish/Europe",
        "Hungary": "Budapest/Hungarian/Europe",
        "Sweden": "Stockholm/Swedish/Europe",
        "Norway": "Oslo/Norwegian/Europe",
        "Denmark": "Copenhagen/Danish/Europe",
        "Finland": "Helsinki/Finnish/Europe",
        "Russia": "Moscow/Russian/Europe",
        "Ukraine": "Kiev/Ukrainian/Europe",
        "Romania": "Bucharest/Romanian/Europe",
        "England": "London/English/Europe",
        "Ireland": "Dublin/English/Europe",
        "Egypt": "Cairo/Arabic/Africa",
        "Morocco": "Rabat/Arabic/Africa",
        "Tunisia": "Tunis/Arabic/Africa",
        "Kenya": "Nairobi/Swahili/Africa",
        "Angola": "Luanda/Portuguese/Africa",
        "Senegal": "Dakar/French/Africa",
        "Nigeria": "Abuja/English/Africa",
        "Ghana": "Accra/English/Africa",
        "Japan": "Tokyo/Japanese/Asia",
        "China": "Beijing/Chinese/Asia",
        "Vietnam": "Hanoi/Vietnamese/Asia",
        "Thailand": "Bangkok/Thai/Asia",
        "Iran": "Tehran/Persian/Asia",
        "Iraq": "Baghdad/Arabic/Asia",
        "Syria": "Damascus/Arabic/Asia",
        "Afghanistan": "Kabul/Persian/Asia",
    }.items()
}
RELATIONS: Mapping[str, tuple[str, ...]] = {
    "capital": (
        "The capital of {c} is",
        "The capital city of {c} is called",
        "Q: What is the capital of {c}?\nA:",
        "If you visit the government of {c}, you travel to",
        "{c}'s capital is",
        "The parliament of {c} meets in",
    ),
    "language": (
        "The official language of {c} is",
        "Most people in {c} speak",
        "Q: Which language is spoken in {c}?\nA:",
        "Newspapers in {c} are written in",
        "In {c}, children learn to read in",
        "She grew up in {c}, so her first language is",
    ),
    "continent": (
        "{c} is a country on the continent of",
        "Q: On which continent is {c}?\nA:",
        "{c} lies in",
        "The continent of {c} is",
        "On a map of the world you find {c} in",
        "{c} and its neighbours belong to",
    ),
}


def fact(template: str, relation: int, random: Random) -> Drawn:
    """Write what a country stands in a relation to; the counterfactual prompt names another country."""
    country, other = random.sample(list(COUNTRIES), 2)
    while COUNTRIES[country][relation] == COUNTRIES[other][relation]:
        other = random.choice(list(COUNTRIES))
    answer, foil = COUNTRIES[country][relation], COUNTRIES[other][relation]
    rest = sorted({values[relation] for values in COUNTRIES.values()} - {answer, foil})
    options = [answer, foil, *random.sample(rest, min(2, len(rest)))]
    choices = tuple(random.sample(options, len(options)))
    return Drawn(template.format(c=country), answer, foil, template.format(c=other), choices)


def writers(relation: str) -> dict[str, Writer]:
    """Return a writer for each template of a relation."""
    number = list(RELATIONS).index(relation)
    return {t: partial(fact, t, number) for t in RELATIONS[relation]}
