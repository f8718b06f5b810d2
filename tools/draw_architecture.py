"""Draw docs/architecture.svg from the imports: ``python tools/draw_architecture.py``.

A folder of the package is a box, and an arrow, which always points downward, says which folder imports which. Of two
ways from one folder to another only the longer is drawn: where cli imports core, that follows from the arrows between.
What a folder says of itself is the first line of its docstring.
"""

import ast
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, PICTURE = ROOT / "reportgen", ROOT / "docs" / "architecture.svg"
STAGES = ("scoring", "analysis", "validation", "summary", "rendering")
PLUGINS = ("methods", "detectors", "topics", "sections", "importers", "suites")

WIDTH, MARGIN, GAP, ROW_GAP = 1180, 26, 22, 44  # of the picture, in CSS pixels
PADDING, LINE, CHIP = 16, 18, 24  # within a box: its border, a line of text, the height of a folder's mark
LETTER = 7.6  # the width of a letter of 13 px, on average
STYLE = """
text { font-family: "DejaVu Sans", Verdana, Helvetica, Arial, sans-serif; fill: #37474f; font-size: 13px }
.name { font-size: 17px; font-weight: bold; fill: #102a43 }
.chip { font-size: 12px; text-anchor: middle }
.box { fill: #ffffff; stroke: #9fb3c8; stroke-width: 1.2 }
.stage { fill: #e8f1fb; stroke: #2f6fb2; stroke-width: 1.6 }
.sub { fill: #f0f4f8; stroke: #bcccdc }
.plugin { fill: #fff3c4; stroke: #c99a12 }
.arrow { fill: none; stroke: #627d98; stroke-width: 1.6; marker-end: url(#head) }
""".strip()


@dataclass(frozen=True)
class Folder:
    """A folder or a module at the package's root, with what its box says."""

    name: str
    about: str
    inner: tuple[str, ...]  # the folders within


@dataclass(frozen=True)
class Box:
    """A folder's place in the picture: its left upper corner and its width."""

    folder: Folder
    x: float
    y: float
    width: float

    @property
    def middle(self) -> float:
        """Return the horizontal middle."""
        return self.x + self.width / 2

    @property
    def lines(self) -> list[str]:
        """Return what the folder says of itself, broken to the box's width."""
        return wrap(self.folder.about, int((self.width - 2 * PADDING) / LETTER))

    @property
    def chips(self) -> list[list[tuple[str, float]]]:
        """Return the marks of the folders within, row by row: text and width."""
        placed: list[list[tuple[str, float]]] = []
        for name in self.folder.inner:
            chip = name, len(name) * LETTER + 20
            if placed and sum(w + 8 for _, w in placed[-1]) + chip[1] <= self.width - 2 * PADDING:
                placed[-1].append(chip)
            else:
                placed.append([chip])
        return placed

    @property
    def height(self) -> float:
        """Return the height that all of this takes."""
        chips = (CHIP + 7) * len(self.chips) + 4 * bool(self.chips)
        return 2 * PADDING + 12 + (LINE * len(self.lines) + 6) + chips


def folders() -> dict[str, Folder]:
    """Return the folders of the package, and errors, which is a module, by name."""
    found = {}
    for path in sorted(PACKAGE.iterdir()):
        init = path / "__init__.py"
        if init.is_file():
            within = tuple(p.parent.name for p in sorted(path.glob("*/__init__.py")))
            found[path.name] = Folder(path.name, first_line(init), within)
    found["errors"] = Folder("errors", first_line(PACKAGE / "errors.py"), ())
    return found


def first_line(path: Path) -> str:
    """Return the first sentence of a module's docstring, "" where it has none."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".")


def imports(names: dict[str, Folder]) -> dict[str, set[str]]:
    """Return which folders each folder imports, itself left out."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for name in names:
        files = [PACKAGE / f"{name}.py"] if not (PACKAGE / name).is_dir() else sorted((PACKAGE / name).rglob("*.py"))
        for node in (n for p in files for n in ast.walk(ast.parse(p.read_text(encoding="utf-8")))):
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                dotted = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                parts = (d.split(".") for d in dotted)
                found[name] |= {p[1] for p in parts if p[0] == "reportgen" and p[1:] and p[1] in names} - {name}
    return found


def depths(arrows: dict[str, set[str]], among: Collection[str]) -> dict[str, int]:
    """Return the longest chain of imports that begins at each of some folders and stays among them."""

    @cache
    def depth(name: str) -> int:
        return max((1 + depth(other) for other in arrows[name] if other in among), default=0)

    return {name: depth(name) for name in among}


def direct(arrows: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Return the arrows that no longer way replaces (the transitive reduction)."""

    @cache
    def below(name: str) -> frozenset[str]:
        return frozenset(arrows[name]).union(*(below(other) for other in arrows[name]))

    return sorted((a, b) for a in arrows for b in arrows[a] if not any(b in below(c) for c in arrows[a]))


def rows(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Return the folders row by row from the top.

    Stages and importers stand side by side, those that import others of them above these; every other folder has a row
    of its own, above them where it imports any of them, else below.
    """
    columns = columned(arrows)
    within, bars = depths(arrows, columns), depths(arrows, [name for name in arrows if name not in columns])
    order = sorted(bars, key=lambda name: (-bars[name], name))
    above = [[name] for name in order if arrows[name] & {*columns}]
    below = [[name] for name in order if not arrows[name] & {*columns}]
    band = [[name for name in columns if within[name] == depth] for depth in range(max(within.values()), -1, -1)]
    return [*above, *band, *below]


def columned(names: Collection[str]) -> list[str]:
    """Return the folders that stand side by side, from left to right."""
    return [name for name in (*PLUGINS, *STAGES) if name in names]


def boxes(known: dict[str, Folder], arrows: dict[str, set[str]]) -> list[list[Box]]:
    """Return where each folder's box lies, row by row.

    A folder that imports others beside it spans their columns; each of the others has one of its own.
    """
    columns = columned(known)
    leaves = [name for name in columns if not arrows[name] & {*columns}]
    step = (WIDTH - 2 * MARGIN + GAP) / len(leaves)
    placed: list[list[Box]] = []
    y: float = MARGIN
    for row in rows(arrows):
        made = []
        for name in row:
            under = [leaves.index(leaf) for leaf in leaves if leaf == name or leaf in arrows[name]]
            first, last = (under[0], under[-1]) if name in columns else (0, len(leaves) - 1)
            made.append(Box(known[name], MARGIN + step * first, y, step * (last - first + 1) - GAP))
        placed.append(made)
        y += max(box.height for box in made) + ROW_GAP
    return placed


def drawn_box(box: Box, height: float) -> list[str]:
    """Return a box: name, number of modules, what it is, the folders within."""
    folder, x, y = box.folder, box.x, box.y
    kind = "box stage" if folder.name in STAGES else "box plugin" if folder.name in PLUGINS else "box"
    parts = [
        f'<rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{box.width:.0f}" height="{height:.0f}" rx="8"/>',
        f'<text class="name" x="{x + PADDING:.0f}" y="{y + PADDING + 12:.0f}">{escape(folder.name)}</text>',
    ]
    y += PADDING + 14
    for line in box.lines:
        y += LINE
        parts.append(f'<text x="{x + PADDING:.0f}" y="{y:.0f}">{escape(line)}</text>')
    y += 14
    for row in box.chips:
        left = x + PADDING
        for text, width in row:
            mark = "plugin" if text in PLUGINS else "sub"
            size = f'width="{width:.0f}" height="{CHIP}" rx="12"'
            parts.append(f'<rect class="{mark}" x="{left:.0f}" y="{y:.0f}" {size}/>')
            parts.append(f'<text class="chip" x="{left + width / 2:.0f}" y="{y + 16:.0f}">{escape(text)}</text>')
            left += width + 8
        y += CHIP + 7
    return parts


def drawn_arrow(upper: Box, lower: Box, height: float) -> str:
    """Return an arrow from a box to one below, straight down where the two overlap; ``height`` is the upper box's."""
    narrow = min(upper, lower, key=lambda box: box.width)
    start = min(max(narrow.middle, upper.x + PADDING), upper.x + upper.width - PADDING)
    end = min(max(narrow.middle, lower.x + PADDING), lower.x + lower.width - PADDING)
    top, bottom = upper.y + height, lower.y - 3
    turn = top + ROW_GAP
    bend = f"C{start:.0f},{turn:.0f} {end:.0f},{top:.0f} {end:.0f},{turn:.0f}" if start != end else ""
    return f'<path class="arrow" d="M{start:.0f},{top:.0f} {bend} L{end:.0f},{bottom:.0f}"/>'


def legend(y: float) -> list[str]:
    """Return the line below the picture that says what its marks mean."""
    marks = [("box stage", "a stage of a run"), ("box plugin", "a folder of plug-ins"), ("sub", "a folder within")]
    parts, x = list[str](), float(MARGIN)
    for mark, text in marks:
        parts.append(f'<rect class="{mark}" x="{x:.0f}" y="{y:.0f}" width="26" height="16" rx="5"/>')
        parts.append(f'<text x="{x + 34:.0f}" y="{y + 13:.0f}">{text}</text>')
        x += 34 + len(text) * LETTER + 26
    parts.append(f'<path class="arrow" d="M{x:.0f},{y + 8:.0f} h22"/>')
    return [
        *parts,
        f'<text x="{x + 36:.0f}" y="{y + 13:.0f}">imports (what other arrows imply is left out)</text>',
    ]


def picture() -> str:
    """Return the picture as SVG."""
    known = folders()
    arrows = imports(known)
    placed = boxes(known, arrows)
    heights = {box.folder.name: max(b.height for b in row) for row in placed for box in row}
    place = {box.folder.name: box for row in placed for box in row}
    bottom = max(box.y + heights[name] for name, box in place.items()) + 24
    about = "The folders of reportgen from the command line at the top to errors at the bottom, and who imports whom"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 16 + MARGIN:.0f}" role="img">',
        f"<title>{about}</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="8" markerHeight="8" orient="auto">',
        '<path d="M0,1 L9,5 L0,9 z" fill="#627d98"/></marker></defs>',
        '<rect width="100%" height="100%" fill="#fafcff" rx="10"/>',
        *(drawn_arrow(place[a], place[b], heights[a]) for a, b in direct(arrows)),
        *(part for name in place for part in drawn_box(place[name], heights[name])),
        *legend(bottom),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    print(PICTURE)
