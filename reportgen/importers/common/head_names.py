"""Heads and layers as people write them: L3H5, 3-5, (3, 5), layer_3_head_5, a3.h5, blocks.3.attn.5."""

import re

from reportgen.core.scores import Head

BETWEEN = r"[\s._:/,-]*"
HEAD = re.compile(
    rf"(?:(?P<block>enc|dec|cross)\.)?(?:"
    rf"(?:l|layers?|blocks?){BETWEEN}(\d+){BETWEEN}(?:attn|attention|self_attn)?{BETWEEN}(?:h|heads?){BETWEEN}(\d+)"
    rf"|a(\d+)\.h(\d+)"
    rf"|(\d+)\s*[-_.,:/ ]\s*(\d+)"
    rf"|\(\s*(\d+)\s*,\s*(\d+)\s*\)"
    rf"|\[\s*(\d+)\s*,\s*(\d+)\s*\]"
    rf"|(?:model\.|transformer\.)?(?:blocks|layers|h)\.(\d+)\.(?:attn|attention|self_attn)\.(?:hook_z\.|heads?\.)?(\d+)"
    rf")",
    re.ASCII | re.IGNORECASE,
)
LAYER = re.compile(rf"(?:(?:l|layers?|blocks?){BETWEEN})?(\d+)", re.ASCII | re.IGNORECASE)
ONE = re.compile(rf"(?:(?:h|heads?){BETWEEN})?(\d+)", re.ASCII | re.IGNORECASE)
LONGEST = 40  # characters of a name


def parse_head(name: object) -> tuple[str | None, Head] | None:
    """Return the block (None: none) and the head that a name stands for; None where it is no head's name."""
    found = HEAD.fullmatch(name.strip()) if isinstance(name, str) and len(name) <= LONGEST else None
    if found is None:
        return None
    layer, head = (int(part) for part in found.groups()[1:] if part is not None)
    return found["block"] and found["block"].lower(), Head(layer, head)


def parse_layer(name: object) -> int | None:
    """Return the layer that a name stands for, such as 3, L3 or layer_3."""
    found = LAYER.fullmatch(name.strip()) if isinstance(name, str) and len(name) <= LONGEST else None
    return int(found[1]) if found else None


def parse_one(name: object) -> int | None:
    """Return the number of a head within its layer, such as 5, H5 or head_5."""
    found = ONE.fullmatch(name.strip()) if isinstance(name, str) and len(name) <= LONGEST else None
    return int(found[1]) if found else None
