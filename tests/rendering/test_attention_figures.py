"""The figure and table of attention patterns, on tokens that are meant to break them."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from made_reports import build, make_scores

from reportgen.core.patterns import Pattern, Patterns, from_json, to_json
from reportgen.errors import InputError
from reportgen.rendering.plots.attention import LINES, attention, spelled, spells_answer, table, tops

HARD = ["<bos>", " <script>alert(1)</script>", "&amp;", "\n", "\x1b[0m", " \u202eעברית", " 😀", "$x_1$", " ", "=1+1"]


def make_pattern(tokens, task="Recall", role="median", **rest):
    share = 1 / len(tokens)
    rows = [[share] * len(tokens) for _ in tokens]
    answer = [0.9, *[0.1 / len(tokens)] * (len(tokens) - 1)]
    return Pattern(task, "L1H2", role, task, "e1", 0.25, list(tokens), answer, rows, **rest)


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("\n", "⏎"),
        ("\x1b[0m", "[U+001B][0m"),
        ("漢", "漢"),
        (" a", " a"),
        ("א", "\u200eא\u200e"),
        ("\u202eא", "\u200e[U+202E]א\u200e"),
        ("</text>", "</text>"),
    ],
)
def test_tokens_show_what_cannot_be_seen(token, shown):
    assert spelled(token) == shown


def test_the_figure_is_xml_and_names_no_script():
    drawing = attention([make_pattern(HARD)], "task-recall", "nats")
    root = ET.fromstring(drawing.svg)
    assert "<script" not in drawing.svg
    assert "script>alert(1)" in "".join(root.itertext())
    assert drawing.name == "attention-recall"
    assert drawing.alt == "Attention of 1 head on Recall."
    assert "L1H2 on the median example looks most at “<bos>” 0.90" in drawing.said[0]


def test_the_expected_answer_is_marked_and_every_score_has_its_unit():
    patterns = [
        make_pattern(["pam", " holds", " New", " York", " ;", " new", " york"], role=role, expected="New York")
        for role in ("median", "strongest", "control")
    ]
    drawing = attention(patterns, "task-recall", "|∂ log-odds / ∂ gate|")
    texts = [t.text for t in ET.fromstring(drawing.svg).iter("{http://www.w3.org/2000/svg}text")]
    assert sum("0.250 |∂ log-odds / ∂ gate|" in text for text in texts) == 3
    assert texts.count("→ New York") == 3
    assert spells_answer(patterns[0]) == [False, False, True, True, False, True, True]
    assert not any(spells_answer(replace(patterns[0], expected="York holds")))
    assert all(len(said.split("“New York”")) == 2 for said in drawing.said)


def test_a_long_text_keeps_the_tokens_that_get_most_and_the_room():
    tokens = [f" word{i}" for i in range(300)]
    answer = [0.0] * 300
    answer[7], answer[200] = 0.6, 0.4
    drawing = attention(
        [Pattern("Recall", "L1H2", "strongest", "Recall", "e", 1.0, tokens, answer)], "task-recall", "nats"
    )
    texts = [t.text for t in ET.fromstring(drawing.svg).iter("{http://www.w3.org/2000/svg}text") if "word" in t.text]
    assert 1 < len(texts) <= LINES
    whole = "".join(texts).replace("\u00a0", " ")
    assert "word6 word7" in whole
    assert "word200" in whole
    assert "…" in whole


def test_tops_and_table():
    pattern = make_pattern(["a", " b", " "])
    assert table([pattern], "nats").caption.endswith(", Recall"), "regions of a page are told apart by their names"
    assert tops(pattern) == "“a” 0.90, “b” 0.03, “␣” 0.03"
    assert table([pattern], "nats").rows == (
        ("L1H2", "Median: e1", "Recall", "0.250", "—", "“a” 0.90, “b” 0.03, “␣” 0.03"),
    )


@pytest.mark.pdf
def test_patterns_stand_with_their_task_on_page_and_pdf(tmp_path):
    found = Patterns("k", {}, [make_pattern(HARD), make_pattern(HARD, role="control")])
    build(tmp_path, make_scores(), patterns=found)
    page = (tmp_path / "report.html").read_text()
    assert page.index('id="figure-task-recall"') < page.index('id="figure-attention-recall"')
    assert page.index('id="figure-attention-recall"') < page.index('id="figure-task-logic"')
    assert "figure-attention-logic" not in page
    assert "<script>alert" not in page
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_patterns_json_is_read_back_and_refused_by_field():
    found = Patterns("k", {"scores.safetensors": "0"}, [make_pattern(HARD)])
    assert from_json(to_json(found)) == found
    plain = to_json(found)
    plain["patterns"][0]["role"] = "best"
    with pytest.raises(InputError, match=r"patterns\.0\.role"):
        from_json(plain)
