"""The sample figure's maker is a script beside its scores."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "sample_data" / "figure"))
