"""Where a task's named heads look: a row a head, its median, strongest and control example beside each other."""

import unicodedata
from collections.abc import Sequence

import numpy as np

from reportgen.core.patterns import Pattern
from reportgen.rendering import format as fmt
from reportgen.rendering.plots.canvas import HAIR, INK, MUTED, Canvas, fitted, printable
from reportgen.rendering.plots.drawing import Drawing
from reportgen.rendering.plots.matplotlib_adapter import text_width
from reportgen.rendering.tables import Table

WIDTH, GAP, SIDE = 6.7, 0.14, 0.52  # inches: the figure, between columns, a square of tokens by tokens
SIZE, LINE, LINES = 5.5, 0.125, 4  # points of a token's type, inches from line to line, lines an example has
HEAD = 0.31  # inches that a row's two lines of headings take
DARK = np.array([86, 180, 233])  # Okabe and Ito's sky blue: dark type stays legible on it, and on its greys
DOTS = 120  # an inch, of the strips of colour behind tokens
ROLES = {"median": "Median", "strongest": "Strongest", "control": "Control"}
MOST = 3  # tokens named in words
Shaded = list[tuple[str, float, bool]]  # a token, its share of the attention, and whether it spells the answer


def attention(patterns: Sequence[Pattern], anchor: str, unit: str) -> Drawing | None:
    """Draw the figure of one task's patterns; None where there are none. ``unit`` is that of the heads' scores."""
    heads = list(dict.fromkeys(p.head for p in patterns))
    if not heads:
        return None
    task, name = printable(patterns[0].task), f"attention-{anchor.removeprefix('task-')}"
    caption = (
        f"{task}: where {fmt.count(len(heads), 'head')} {'looks' if len(heads) == 1 else 'look'} on the median, the "
        f"strongest and a control example, each with the head’s score on it ({unit}) and, behind the arrow, the "
        "expected answer, underlined where the text has it. Behind each token, the attention that the place which "
        "predicts the answer pays to it, blue being the example’s largest; dots stand for tokens left out. Squares: "
        "every token (row) over every token (column), blue being 1."
    )
    alt = f"Attention of {fmt.count(len(heads), 'head')} on {task}."
    said = tuple(_described(p, unit) for p in patterns if p.head in heads)
    canvas = _rows(patterns, heads, unit)
    return Drawing(name, "tasks", canvas.svg(name, alt), caption, alt, canvas, wide=True, said=said)


def _rows(patterns: Sequence[Pattern], heads: Sequence[str], unit: str) -> Canvas:
    """Draw a row a head, hairlines between them."""
    height = HEAD + max(SIDE, LINES * LINE) + 0.16
    canvas = Canvas(WIDTH, 0.06 + len(heads) * height)
    room = (WIDTH - 2 * GAP) / 3
    for row, head in enumerate(heads):
        for pattern in (p for p in patterns if p.head == head):
            column = list(ROLES).index(pattern.role)
            _example(canvas, pattern, column * (room + GAP), 0.12 + row * height, room, unit)
        if row:
            canvas.lines([[(0, row * height), (WIDTH, row * height)]], HAIR, 0.4, 1)
    return canvas


def _described(pattern: Pattern, unit: str) -> str:
    """Return one example in words."""
    expected = f", whose answer is “{printable(pattern.expected)}”," if pattern.expected else ""
    return (
        f"{pattern.head} on the {pattern.role} example{expected} looks most at {tops(pattern)}; its score there is "
        f"{fmt.number(pattern.score)} {unit}."
    )


def table(patterns: Sequence[Pattern], unit: str) -> Table:
    """Return the same as a table: each head's examples, its score on them, and the tokens that get most."""
    columns = (
        ("Head", False),
        ("Example", False),
        ("From", False),
        (f"Score, {unit}", True),
        ("Expected answer", False),
        ("Looks most at", False),
    )
    rows = tuple(
        (
            p.head,
            f"{ROLES[p.role]}: {printable(p.example)}",
            printable(p.source),
            fmt.number(p.score),
            printable(p.expected) or fmt.NONE,
            tops(p, 5),
        )
        for p in patterns
    )
    caption = f"Attention from the place that predicts the answer, {printable(patterns[0].task)}"
    return Table("attention", caption, columns, rows, "Every weight is in patterns.json.")


def spelled(token: str) -> str:
    """Return a token on one line that shows what cannot be seen: breaks and other controls."""
    shown = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
    text = "".join(shown.get(c) or (c if c == " " or c.isprintable() else f"[U+{ord(c):04X}]") for c in token)
    # A token that is written from right to left stands in its place, and not with its neighbours turned over.
    return f"\u200e{text}\u200e" if any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text) else text


def tops(pattern: Pattern, most: int = MOST) -> str:
    """Return the tokens that get most, with their shares."""
    order = np.argsort(-np.array(pattern.answer), kind="stable")[:most]
    return ", ".join(f"“{spelled(pattern.tokens[i]).strip() or '␣'}” {pattern.answer[i]:.2f}" for i in order)


def _example(canvas: Canvas, pattern: Pattern, x: float, y: float, room: float, unit: str) -> None:
    start = x
    if pattern.role == "median":
        canvas.text(x, y, pattern.head, 7, bold=True)
        start += text_width(f"{pattern.head}  n", 7, bold=True)
    scored = f"{ROLES[pattern.role]}, {fmt.number(pattern.score)} {unit}"
    canvas.text(start, y, fitted(scored, x + room - start, 6), 6, color=INK)
    origin = f"{pattern.source}, {pattern.example}" if pattern.source != pattern.task else pattern.example
    start = x
    if pattern.expected:
        answer = fitted(f"→ {spelled(pattern.expected)}", 0.55 * room, 6, bold=True)
        canvas.text(x, y + 0.11, answer, 6, bold=True)
        start += text_width(f"{answer}  n", 6, bold=True)
    canvas.text(start, y + 0.11, fitted(origin, x + room - start, 6), 6, color=MUTED)
    top, left = y + HEAD - 0.12, x
    if pattern.rows is not None and len(pattern.rows) > 1:
        canvas.image(_colours(np.array(pattern.rows)), x, top, SIDE, SIDE)
        canvas.rectangle(x, top, SIDE, SIDE, "none", HAIR, 0.4)
        left = x + SIDE + 0.08
    largest = max(pattern.answer) or 1.0
    there = spells_answer(pattern)
    tokens = zip(pattern.tokens, pattern.answer, there, strict=True)
    shaded = [(apart(spelled(token)), weight / largest, marked) for token, weight, marked in tokens]
    for n, line in enumerate(_fitting(shaded, x + room - left)):
        _line(canvas, line, left, top + n * LINE)


def spells_answer(pattern: Pattern) -> list[bool]:
    """Return of each token whether it is part of the expected answer where the text has it."""
    # Spaces do not count: some tokenizers keep them with their tokens, others drop them.
    wanted, *tokens = ("".join(text.split()).casefold() for text in (pattern.expected, *pattern.tokens))
    marked = [False] * len(tokens)
    for start in range(len(tokens) if wanted else 0):
        text = ""
        for end in range(start, len(tokens)):
            text += tokens[end]
            if not text or not wanted.startswith(text):
                break
            if text == wanted:
                marked[start : end + 1] = [True] * (end + 1 - start)
                break
    return marked


def apart(token: str) -> str:
    """With a thin space before it, where it brings none of its own."""
    return token if token.startswith(" ") else f"\u2009{token}"


def _line(canvas: Canvas, line: Shaded, x: float, y: float) -> None:
    """Draw a line of tokens as one text, over one strip of their colours; those that spell the answer underlined."""
    text, ends, shares = "", [0.0], [share for _, share, _ in line]
    for token, _, _ in line:
        text += token
        ends.append(_width(text))
    dots = np.diff(np.round(np.array(ends) * DOTS).astype(int))
    if dots.sum():
        canvas.image(_colours(np.repeat(shares, dots)[None]), x, y, ends[-1], LINE * 0.86)
        canvas.text(x, y + LINE * 0.62, text.replace(" ", "\u00a0"), SIZE, color="#101418")
        under = [(a, b) for a, b, (_, _, marked) in zip(ends, ends[1:], line, strict=False) if marked]
        canvas.lines([[(x + a, y + LINE * 0.82), (x + b, y + LINE * 0.82)] for a, b in under], "#101418", 0.8, 4)


def _width(text: str) -> float:
    return text_width(text.replace(" ", "\u00a0"), SIZE)


def _colours(shares: np.ndarray) -> np.ndarray:
    """White for none, blue for one, in steps that a palette holds."""
    steps = np.round(np.clip(shares, 0, 1) * 64)[..., None] / 64
    mixed: np.ndarray = np.round(255 + (DARK - 255) * steps).astype(np.uint8)
    return mixed


def _fitting(shaded: Shaded, room: float) -> list[Shaded]:
    """Return all tokens where they fit; else as many that get most as do, in their order, dots between them."""
    low, high = 1, len(shaded)
    order = sorted(range(len(shaded)), key=lambda i: -shaded[i][1])
    while low < high:
        middle = (low + high + 1) // 2
        fits = len(_broken(_shortened(shaded, set(order[:middle])), room)) <= LINES
        low, high = (middle, high) if fits else (low, middle - 1)
    return _broken(_shortened(shaded, set(order[:low])), room)[:LINES]


def _shortened(shaded: Shaded, left: set[int]) -> Shaded:
    result: Shaded = []
    for i, each in enumerate(shaded):
        if i in left:
            result.append(each)
        elif not result or result[-1][0] != " … ":
            result.append((" … ", 0.0, False))
    return result


def _broken(shaded: Shaded, room: float) -> list[Shaded]:
    """Tokens in lines that are no wider than ``room`` inches; a longer token is cut."""
    lines: list[Shaded] = [[]]
    at = 0.0
    for token, share, marked in shaded:
        width = _width(token)
        if at + width > room and lines[-1]:
            lines.append([])
            at, token = 0.0, token.lstrip(" \u2009")
            width = _width(token)
        if width > room:
            token = fitted(token, room, SIZE)
            width = _width(token)
        lines[-1].append((token, share, marked))
        at += width
    return lines
