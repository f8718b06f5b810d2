"""A short part of benchmarks/reliability/forge.py: no forgery of what follows from scores is called verified."""

import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "benchmarks" / "reliability"
sys.path.insert(0, str(FOLDER))


def test_no_forgery_is_called_verified() -> None:
    from forge import campaign

    made = campaign(50, 1)
    assert made["called verified"] == []
    assert made["forgeries"] == 50
    assert made["total"]["differs"] > 40
