"""LaTeX: text as it stands, and tables with booktabs."""

import re
import unicodedata

from reportgen.rendering.tables import Table

ROWS = 30  # beyond which a table breaks across pages
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "−": "$-$",
    "×": r"$\times$",
    "—": "---",
    "–": "--",
    "’": "'",
    "‘": "`",
    "“": "``",
    "”": "''",
    "\u202f": r"\,",
    "\u00a0": "~",
    "…": r"\ldots{}",
    "•": r"\textbullet{}",
    "∂": r"$\partial$",
    "‖": r"$\|$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "≠": r"$\neq$",
    "∞": r"$\infty$",
    "→": r"$\rightarrow$",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    "∑": r"$\sum$",
    "√": r"$\surd$",
    "∇": r"$\nabla$",
    "∈": r"$\in$",
    "°": r"$^{\circ}$",
    "²": "$^{2}$",
    "³": "$^{3}$",
    "¹": "$^{1}$",
    "µ": r"$\mu$",
}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0308": '"',
    "\u0304": "=",
    "\u0307": ".",
    "\u030c": "v",
    "\u0327": "c",
    "\u030a": "r",
    "\u0306": "u",
    "\u030b": "H",
}
_LETTERS = {
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ı": r"\i{}",
    "§": r"\S{}",
    "£": r"\pounds{}",
    "©": r"\copyright{}",
}
GREEK = (
    "ALPHA BETA GAMMA DELTA EPSILON ZETA ETA THETA IOTA KAPPA LAMBDA MU NU XI PI RHO SIGMA TAU UPSILON PHI CHI "
    "PSI OMEGA"
).split()
CAPITALS = "GAMMA DELTA THETA LAMBDA XI PI SIGMA UPSILON PHI PSI OMEGA".split()  # those unlike Latin's
_POWER = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is, whatever its engine and encoding: what they may lack stands as code points."""
    powers = _POWER.sub(lambda m: f"\0{m[0].translate(_PLAIN)}\1", unicodedata.normalize("NFC", text))
    return "".join(map(_written, powers))


def _written(char: str) -> str:
    if char in _SPECIAL or char in _LETTERS:
        return _SPECIAL.get(char) or _LETTERS[char]
    if char in "\0\1":
        return "$^{" if char == "\0" else "}$"
    if char.isascii():
        return char
    parts = unicodedata.normalize("NFD", char)
    if len(parts) == 2 and parts[0].isascii() and parts[1] in _ACCENTS:
        return f"\\{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    name = unicodedata.name(char, "").replace("LAMDA", "LAMBDA")
    kind, _, letter = name.removeprefix("GREEK ").partition(" LETTER ")
    if kind == "SMALL" and letter in GREEK:
        return f"$\\{letter.lower()}$"
    if kind == "CAPITAL" and letter in CAPITALS:
        return f"$\\{letter.capitalize()}$"
    return f"{{[}}U+{ord(char):04X}]"


def latex(table: Table, label: str) -> str:
    """A booktabs table; needs ``\\usepackage{booktabs}``, and for one of many rows ``longtable``."""
    align = "".join("r" if numeric else "l" for _, numeric in table.columns)
    head = " & ".join(escaped(title) for title, _ in table.columns) + r" \\"
    named = f"\\caption{{{escaped(' '.join(f'{table.caption}. {table.note}'.split()))}}}\\label{{tab:{label}}}"
    rows = [_row(row) for row in table.rows]
    if len(rows) <= ROWS:
        return "\n".join(
            [
                r"\begin{table}",
                r"\centering",
                named,
                f"\\begin{{tabular}}{{{align}}}",
                r"\toprule",
                head,
                r"\midrule",
                *rows,
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
                "",
            ]
        )
    return "\n".join(
        [
            f"\\begin{{longtable}}{{{align}}}",
            f"{named}\\\\",
            r"\toprule",
            head,
            r"\midrule",
            r"\endfirsthead",
            r"\toprule",
            head,
            r"\midrule",
            r"\endhead",
            r"\bottomrule",
            r"\endfoot",
            *rows,
            r"\end{longtable}",
            "",
        ]
    )


def _row(cells: tuple[str, ...]) -> str:
    written = " & ".join(escaped(cell) for cell in cells)
    # after the end of a row, LaTeX takes these for options of it
    return ("{}" if written[:1] in ("[", "*") else "") + written + r" \\"
