"""What a reader sees of an HTML page, whatever the page holds: in time that grows as the page does."""

import html
import re

HIDDEN = re.compile(r"<(script|style)\b", re.IGNORECASE)


def visible_text(page: str) -> str:
    """Return the page's text without scripts, styles and tags, its character references resolved.

    An element or a tag that does not end hides nothing: what follows it is text.
    """
    ends = {name: _ends(page, name) for name in ("script", "style")}
    parts, at, closing = list[str](), 0, page.rfind(">")
    while (start := page.find("<", at)) >= 0:
        parts.append(page[at:start])
        hidden = HIDDEN.match(page, start)
        end = ends[hidden[1].lower()].after(hidden.end()) if hidden else None
        if end is None and start < closing:
            end = page.index(">", start) + 1
        if end is None:  # no tag ends any more
            at = start
            break
        at = end
    return html.unescape("".join([*parts, page[at:]]))


class _Ends:
    """The positions behind an element's end tags, asked for in the order of the page, each looked at once."""

    def __init__(self, positions: list[int]) -> None:
        self.positions, self.next = positions, 0

    def after(self, at: int) -> int | None:
        """Return the first of them behind ``at``."""
        while self.next < len(self.positions) and self.positions[self.next] <= at:
            self.next += 1
        return self.positions[self.next] if self.next < len(self.positions) else None


def _ends(page: str, name: str) -> _Ends:
    return _Ends([match.end() for match in re.finditer(f"</{name}>", page, re.IGNORECASE)])
