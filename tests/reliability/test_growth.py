"""Reading takes time that grows as the file does, and not as its square."""

import growth
import pytest

from reportgen.archive.text import visible_text

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("growing", growth.GROWING, ids=lambda g: f"{g.reader}: {g.what}")
def test_time_grows_as_the_file_does(growing: growth.Growing) -> None:
    size, took, rise = growth.growth(growing)
    if rise > growth.STEEPEST:  # a machine with other work to do
        size, took, rise = growth.growth(growing)
    assert rise <= growth.STEEPEST, f"{took:.3f} s for {size:,} bytes, {rise:.1f} times that for four times as many"


def test_a_reader_that_looks_at_all_pairs_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def pairs(path: object) -> None:
        size = len(path.read_bytes()) // 100  # type: ignore[attr-defined]
        sum(1 for _ in range(size) for _ in range(size))

    monkeypatch.setattr(growth, "_reading", lambda title: ("square", pairs))
    assert growth.growth(growth.Growing("", "", bytes))[2] > growth.STEEPEST


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>a &lt; b</p><script>c</script>d", "a < bd"),
        ("<SCRIPT src=x>a</Script>b<style >c</style>d", "bd"),
        ("<scripts>a</scripts>", "a"),
        ("a<script>b<style>c</style>d", "abd"),
        ("a < b", "a < b"),
        ("a <b", "a <b"),
        ("<a title='<'>b</a>", "'>b".removeprefix("'>")),
        ("<script></style>a</script>b", "b"),
        ("", ""),
    ],
)
def test_what_a_reader_sees_of_a_page(page: str, text: str) -> None:
    assert visible_text(page) == text
