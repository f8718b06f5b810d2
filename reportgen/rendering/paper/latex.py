"""LaTeX: text as it stands, and tables with booktabs."""

import re
import unicodedata
from functools import cache

from pylatexenc.latexencode import (
    RULE_DICT,
    RULE_REGEX,
    UnicodeToLatexConversionRule,
    UnicodeToLatexEncoder,
    get_builtin_uni2latex_dict,
)

from reportgen.rendering.tables import Table

ROWS = 30  # beyond which a table breaks across pages
# pylatexenc knows 1,553 characters, but writes many as commands of packages that a paper need not load. These blocks
# compile in an ordinary document of either font encoding (test_latex.py compiles each of them), and of the rest the
# symbols that reports themselves write: Latin-1 and Latin Extended-A, Greek, general punctuation.
BLOCKS = ((0x20, 0x7E), (0xA0, 0x17F), (0x391, 0x3A9), (0x3B1, 0x3C9), (0x2013, 0x203A))
SYMBOLS = "−∂‖≤≥≈≠∞→∑√∇∈"
# Letters that only the T1 encoding has, commands that do not exist, and accents that are not the letter's.
_UNSAFE = re.compile(r"\\(?:guil\w+|quotesingl\w+|quotedblbase|backprime|[DT]H|[dt]h|D[Jj]|dj|NG|ng|k|nument)\b")
_STROKED = "ĦħŦŧĸ"  # for which pylatexenc writes other letters
# What fonts join: "--" would become a dash, and ",," or "?`" other signs. Between them stands an empty kern, as braces
# alone part them in pdfTeX but not in LuaTeX.
_JOINED = re.compile(r"(?<=-)-|(?<=')'|(?<=`)`|(?<=,),|(?<=[?!])`")
_POWER = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
# What papers write otherwise than by a command, and what pylatexenc's table lacks or leaves to the font encoding.
_OWN = {
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "−": "$-$",
    "×": r"$\times$",
    "|": r"\textbar{}",
    "√": r"$\surd$",
    '"': r"{\ttfamily\char34}",  # straight in every encoding, which no letter of the roman types is
    "ű": r"\H{u}",
    "Ű": r"\H{U}",
    "\u202f": r"\,",
}


def escaped(text: str) -> str:
    """Return text that LaTeX prints as it is, in either font encoding: what it may lack stands as code points."""
    return str(_encoder().unicode_to_latex(unicodedata.normalize("NFC", text)))


@cache
def _encoder() -> UnicodeToLatexEncoder:
    """Return pylatexenc's encoder with whole powers before, and in place of what it would write unsafely."""
    known = get_builtin_uni2latex_dict()
    within = {c for low, high in BLOCKS for c in range(low, high + 1)} | set(map(ord, SYMBOLS))
    safe = {c: known[c] for c in within & known.keys() if not _UNSAFE.search(known[c]) and chr(c) not in _STROKED}
    powers = [(_POWER, lambda m: f"$^{{{m[0].translate(_PLAIN)}}}$")]
    return UnicodeToLatexEncoder(
        conversion_rules=[
            UnicodeToLatexConversionRule(RULE_REGEX, [*powers, (_JOINED, lambda m: rf"{{\kern0pt}}{m[0]}")]),
            UnicodeToLatexConversionRule(RULE_DICT, safe | {ord(char): text for char, text in _OWN.items()}),
        ],
        unknown_char_policy=lambda char: f"{{[}}U+{ord(char):04X}]",
        unknown_char_warning=False,
    )


def latex(table: Table, label: str) -> str:
    """Return a booktabs table; needs ``\\usepackage{booktabs}``, and for one of many rows ``longtable``."""
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
