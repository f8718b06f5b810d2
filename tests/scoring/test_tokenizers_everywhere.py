"""The tokenizer of every family that transformers has one for: how it is had, and that the page of types says so."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from architectures import verdict
from tokenizer_census import class_name, tokenizer

PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"
EXPECTED: dict[str, dict[str, str]] = json.loads((Path(__file__).parent / "architectures.json").read_text())
FOUND = [name for name, columns in EXPECTED.items() if columns["heads"].startswith(("verified", "untestable"))]
# one type of each class of tokenizers
FAMILIES = sorted({class_name(name.split("/")[1]): name for name in FOUND}.values())


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.filterwarnings("ignore")  # each family warns of its own odd defaults
def test_a_familys_tokenizer_reads_a_row_as_the_census_says(name: str) -> None:
    said = EXPECTED[name]["tokenizer"]
    if said.startswith("needs ") and find_spec(said.removeprefix("needs ")):
        pytest.skip("the package that the census lacked is installed here")
    assert tokenizer(*name.split("/")) == said


def test_types_are_verified_only_with_a_tokenizer_of_their_own() -> None:
    assert {EXPECTED[name]["tokenizer"].split(maxsplit=1)[0] for name in FOUND} == {"fast", "slow", "needs", "none"}
    for name in FOUND:
        own = EXPECTED[name]["tokenizer"] in ("fast", "slow")
        assert own or verdict(EXPECTED[name]).startswith("verified without its tokenizer: "), name


def test_the_page_says_so() -> None:
    lines = [line[2:-2].split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    column = lines[0].index("tokenizer")
    for columns, line in zip(EXPECTED.values(), lines[1:], strict=True):
        assert line[column] == columns.get("tokenizer", "").partition(":")[0]
        assert line[2] == verdict(columns).partition(":")[0]
