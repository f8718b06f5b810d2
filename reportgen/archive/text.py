"""What a reader sees of a page."""

from html.parser import HTMLParser

UNSEEN = ("script", "style")


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag if tag in UNSEEN else ""

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.parts.append(data)


def visible_text(page: str) -> str:
    """The text of an HTML page without its tags, comments, scripts and styles."""
    seen = _Seen()
    seen.feed(page)
    seen.close()
    return "".join(seen.parts)
