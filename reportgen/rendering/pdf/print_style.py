"""The style sheet as paper needs it."""

import re
from collections import Counter

_ASIDE = re.compile(r"/\*.*?\*/|@media (?:screen|\()[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", re.S)
_ROOT = re.compile(r":root\s*\{([^{}]*)\}")
_VARIABLE = re.compile(r"(--[\w-]+)\s*:\s*([^;{}]+)")


def for_print(css: str) -> str:
    """Return the rules without those for screens, and with values in place of the root's variables.

    WeasyPrint would read a variable's value anew for every element that uses it. A variable that other elements give a
    value too stays one.
    """
    css = _ASIDE.sub("", css)
    values = dict(pair for block in _ROOT.findall(css) for pair in _VARIABLE.findall(block))
    set_elsewhere = Counter(name for name, _ in _VARIABLE.findall(_ROOT.sub("", css)))
    for name, value in values.items():
        if name not in set_elsewhere:
            css = css.replace(f"var({name})", value.strip())
    return css
