"""The version: one place, and a new one for whatever changes what findings and verdicts say."""

import json
import re
import tomllib
from pathlib import Path

from said import RECORD, said

import reportgen

ROOT = Path(__file__).resolve().parents[1]


def test_the_version_stands_in_one_place_and_in_the_citation() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "reportgen/__init__.py"
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), flags=re.M)
    assert cited is not None
    assert cited[1] == reportgen.__version__


def test_what_findings_say_has_a_version_of_its_own() -> None:
    record = json.loads(RECORD.read_text())
    told = "what findings say changed: raise the version in reportgen/__init__.py and run tools/fingerprint.py"
    assert said() == record["said"], told
    assert record["version"] == reportgen.__version__, "the version changed: run tools/fingerprint.py"
