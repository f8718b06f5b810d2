"""reportgen's own scores.safetensors."""

from dataclasses import replace
from pathlib import Path

from reportgen.core.blocks import Blocks
from reportgen.core.config import ScoresSection
from reportgen.core.scores import HeadScores
from reportgen.errors import InputError
from reportgen.importers.common import Importer, is_foreign_safetensors
from reportgen.storage.scores_file import read_scores


def claims(path: Path) -> bool:
    """By extension, less what others have written under it."""
    return path.suffix.lower() == ".safetensors" and not is_foreign_safetensors(path)


def load(path: Path, section: ScoresSection) -> Blocks:
    """Read scores that reportgen wrote, block by block; a ``kv_groups`` given beside them fills one they lack."""
    blocks, _ = read_scores(path)
    model = blocks[0].model
    if section.kv_groups is not None and model.kv_groups is None:
        return tuple(replace(b, model=replace(model, kv_groups=section.kv_groups)) for b in blocks)
    return blocks


def one_of(blocks: Blocks, path: Path, name: str | None = None) -> HeadScores:
    """The block of that name, or the only one; raises InputError naming the blocks that there are."""
    known = ", ".join(b.block for b in blocks if b.block)
    if name is None and len(blocks) == 1:
        return blocks[0]
    if name is None:
        raise InputError("this file holds several blocks of heads", str(path), f"Give block as one of: {known}")
    for block in blocks:
        if block.block == name:
            return block
    hint = f"Its blocks are: {known}" if known else "Leave block out: its heads are in no block"
    raise InputError(f"this file holds no block {name!r}", str(path), hint)


IMPORTER = Importer("reportgen", "scores.safetensors as reportgen writes it", claims, load)
