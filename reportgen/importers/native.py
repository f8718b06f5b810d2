"""reportgen's own scores.safetensors."""

from dataclasses import replace
from pathlib import Path

from reportgen.core.blocks import Blocks
from reportgen.core.config import ScoresSection
from reportgen.importers.common import Importer, is_foreign_safetensors
from reportgen.storage.scores_file import read_scores


def claims(path: Path) -> bool:
    """Return whether the file is a .safetensors that reportgen wrote."""
    return path.suffix.lower() == ".safetensors" and not is_foreign_safetensors(path)


def load(path: Path, section: ScoresSection) -> Blocks:
    """Read scores that reportgen wrote, block by block; the section's ``kv_groups`` fills one they lack."""
    blocks, _ = read_scores(path)
    model = blocks[0].model
    if section.kv_groups is not None and model.kv_groups is None:
        return tuple(replace(b, model=replace(model, kv_groups=section.kv_groups)) for b in blocks)
    return blocks


IMPORTER = Importer("reportgen", "scores.safetensors as reportgen writes it", claims, load, order=40)
