"""Every direct dependency is pinned, with the reason why it is there; the package tells that it is typed."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_direct_dependency_is_pinned_with_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {re.split(r"[<>=\[ ]", d)[0] for d in asked}
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = {match[1]: match[2] for line in lines if (match := re.fullmatch(r"(\S+)==\S+ +# (.{10,})", line))}
    assert len(pinned) == len(lines), "each line reads name==version  # why it is there"
    assert names <= pinned.keys()


def test_the_package_is_typed() -> None:
    assert (ROOT / "reportgen" / "py.typed").is_file()
