"""Record what findings and verdicts say, beside the version: run it after raising __version__ in reportgen/__init__.py.

    python tools/fingerprint.py

A report is checked by the version that made it, so whatever changes what findings say needs a version of its own.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from said import RECORD, recorded, said  # noqa: E402

if __name__ == "__main__":
    RECORD.write_text(recorded(said()))
    print(RECORD.read_text())
