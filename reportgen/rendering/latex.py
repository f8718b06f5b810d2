"""The report's tables for papers and spreadsheets: LaTeX with booktabs, and CSV."""

import csv
import io
import re

from reportgen.rendering.view import Table

_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "−": "$-$", "×": r"$\times$", "—": "---", "–": "--", "α": r"$\alpha$", "’": "'", "\u202f": r"\,", "\u00a0": "~",
}  # fmt: skip
_POWER = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is."""
    safe = "".join(_SPECIAL.get(c, c) for c in text)
    return _POWER.sub(lambda m: f"$^{{{m[0].translate(_PLAIN)}}}$", safe)


def latex(table: Table, label: str) -> str:
    """A booktabs table; needs ``\\usepackage{booktabs}``, and ``longtable`` for its page breaks."""
    align = "".join("r" if numeric else "l" for _, numeric in table.columns)
    head = " & ".join(escaped(title) for title, _ in table.columns) + r" \\"
    caption = escaped(" ".join(f"{table.caption}. {table.note}".split()))
    lines = [f"\\begin{{longtable}}{{{align}}}", f"\\caption{{{caption}}}\\label{{tab:{label}}}\\\\",
             r"\toprule", head, r"\midrule", r"\endfirsthead", r"\toprule", head, r"\midrule", r"\endhead",
             r"\bottomrule", r"\endfoot"]  # fmt: skip
    lines += [" & ".join(escaped(cell) for cell in row) + r" \\" for row in table.rows]
    return "\n".join([*lines, r"\end{longtable}", ""])


def csv_text(columns: list[str], rows: list[list[object]]) -> str:
    """CSV whose text cells no spreadsheet takes for a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[inert(cell) for cell in row] for row in rows])
    return out.getvalue()


def inert(cell: object) -> object:
    """A text cell that begins like a formula gets an apostrophe; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
