"""Adapters on architectures of every sort, and on all of which the census says that they are not right."""

import json
from pathlib import Path
from typing import Any

import pytest
from adapter_census import with_adapter
from architectures import tiny
from test_architectures import EXPECTED

from reportgen.scoring.model.heads import find

OTHERS: dict[str, str] = json.loads((Path(__file__).parent / "adapters.json").read_text())
FOUND = [name for name, said in EXPECTED.items() if said["heads"].startswith(("verified", "untestable"))]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # each family warns of its own odd defaults
@pytest.mark.parametrize("name", sorted({*FOUND[1::10], *OTHERS}))
def test_an_adapter_is_scored_as_it_runs_beside_its_base(name: str) -> None:
    kind: Any = name.split("/")[0]
    model = tiny(*name.split("/")).requires_grad_(False)
    assert with_adapter(kind, model, find(model)) == OTHERS.get(name, "right")
