"""Lists of heads without scores: a text of names, one a line, and YAML such as QRHead's ``attn_head_set``.

Listed heads are read as 1, all others of the model as 0; how many layers and heads it has, ``[scores]`` says.
Source of QRHead: Zhang et al. 2025, "Query-Focused Retrieval Heads Improve Long-Context Reasoning and Re-ranking",
arXiv 2506.09944.
"""

import re
from pathlib import Path
from typing import Any

from reportgen.core.blocks import Blocks
from reportgen.core.config import ScoresSection
from reportgen.errors import InputError
from reportgen.importers.common import Importer, beginning
from reportgen.importers.common.head_names import parse_head
from reportgen.importers.json_maps import scores_in

YAML = (".yaml", ".yml")
BETWEEN = re.compile(r"[,;\s]+")


def claims(path: Path) -> bool:
    """Return whether it is YAML, or a .txt whose lines are names of heads."""
    lines = beginning(path, ".txt").split("\n")[:-1] or [beginning(path, ".txt")]
    named = [line.strip() for line in lines if line.strip()]
    return path.suffix.lower() in YAML or (bool(named) and all(parse_head(name) for name in named))


def load(path: Path, section: ScoresSection) -> Blocks:
    """Read lists of heads, or whatever scores YAML holds in a form that JSON may have."""
    if path.suffix.lower() in YAML:
        import yaml  # type: ignore[import-untyped]

        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            problem = f"this is no YAML ({' '.join(str(error).split())[:120]})"
            raise InputError(problem, str(path), "Mend or make the file again") from error
    else:
        content = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    return scores_in(path, _lists(content), section)


def _lists(content: Any) -> Any:
    """Return the content with texts of several heads, "14-22,13-16", as lists of them."""
    if isinstance(content, dict):
        return {str(key): _lists(value) for key, value in content.items()}
    if isinstance(content, str):
        names = [name for name in BETWEEN.split(content) if name]
        if len(names) > 1 and all(parse_head(name) for name in names):
            return names
    return content


IMPORTER = Importer("head-list", "names of heads in a .txt or in YAML, as QRHead's", claims, load, order=75)
