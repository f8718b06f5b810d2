"""Scores made elsewhere: one file per format, the first that claims a file reads it."""

from dataclasses import replace
from pathlib import Path

from reportgen.core.blocks import Blocks, as_blocks
from reportgen.core.config import ScoresSection
from reportgen.core.plugins import Plugin
from reportgen.core.scores import HeadScores, refuse_many
from reportgen.errors import InputError
from reportgen.importers.common import IMPORTERS, Importer, known_formats, unknown_file
from reportgen.storage.decompression import bounded, refuse_bomb


def load_scores(path: Path | str, section: ScoresSection | None = None, block: str | None = None) -> HeadScores:
    """Read scores in any known format; raises InputError telling the known formats where none fits.

    ``block`` names one of an encoder-decoder's blocks of heads (enc, dec, cross); a file of several needs it.
    """
    return _one_of(load_blocks(path, section), Path(path), block)


def load_blocks(path: Path | str, section: ScoresSection | None = None) -> Blocks:
    """Read scores as ``load_scores`` does: all blocks of heads that the file holds, in its order.

    Their ``plugins`` name an importer of another package that read the file, and those that failed on it.
    """
    path = Path(path)
    section = section or ScoresSection(path=path)
    if not path.is_file():
        raise InputError("no such file", str(path), "Check the path")
    failed = list[Plugin]()
    for importer in IMPORTERS.known():
        if section.format == importer.name or (section.format is None and _claims(importer, path, failed)):
            _refuse_axis(importer, section)
            with bounded(path, _checked_size(path)):
                blocks = as_blocks(importer.load(path, section))
            refuse_many(len(blocks[0].tasks), str(path))
            plugins = (*IMPORTERS.used([importer.name]), *failed)
            return tuple(replace(block, plugins=(*block.plugins, *plugins)) for block in blocks)
    if section.format is not None:
        raise InputError(f"no format is called {section.format!r}", "[scores] format", known_formats())
    raise unknown_file(path, [f"the {plugin} failed: {plugin.error}" for plugin in failed])


def _claims(importer: Importer, path: Path, failed: list[Plugin]) -> bool:
    """Whether the importer claims the file; another package's that raises does not, and joins ``failed``."""
    try:
        return importer.claims(path)
    except (Exception, SystemExit) as error:
        plugins = IMPORTERS.used([importer.name])
        if not plugins:
            raise
        failed += [plugin.failed(error) for plugin in plugins]
        return False


def _one_of(blocks: Blocks, path: Path, name: str | None) -> HeadScores:
    """Return the block of that name, or the only one; raises InputError naming the blocks that there are."""
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


def _checked_size(path: Path) -> int:
    """Return the bytes that a file unpacks to; raises InputError for a bomb. Broken files are their reader's."""
    try:
        return refuse_bomb(path)
    except InputError:
        raise
    except Exception:  # zipfile and pyarrow raise many kinds
        return path.stat().st_size


def _refuse_axis(importer: Importer, section: ScoresSection) -> None:
    if section.axis is not None and not importer.axis:
        raise InputError(f"the axes of {importer.name} files are known", "[scores] axis", "Remove the key")
