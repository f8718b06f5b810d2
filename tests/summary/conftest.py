"""Lets tests of claims, and of each topic, use what is made for them and the made maps of the analysis."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "analysis")]
