"""The page as a reader meets it: its first screens, a head's card, tables, tasks held against each other; by eye, by
keyboard, by finger and by ear.
"""

import re
from dataclasses import replace

import pytest
from made_reports import build, make_findings, make_scores, make_study
from made_trials import trial
from playwright.sync_api import expect

from reportgen.core.claims import Claim, ClaimsFile, Remark
from reportgen.core.findings import Finding, Findings, Value
from reportgen.core.kinds import kind_of
from reportgen.core.patterns import Pattern, Patterns
from reportgen.core.trials import Outcome, TaskTrial, Validation
from reportgen.rendering import first_screen
from reportgen.rendering.html.attention_rows import attention_rows
from reportgen.rendering.report import build_report

TASKS = ("Recall", "Retrieval", "Reasoning")
INTACT = Outcome(1.0, -0.1)


def listing(task, members, **data):
    """What the analysis lists of a task: its leading heads with the ranks that they may have."""
    n = len(members)
    known = {
        "total": 48,
        "values": [0.9 - 0.1 * i for i in range(n)],
        "lows": [0.8 - 0.1 * i for i in range(n)],
        "highs": [1.0 - 0.1 * i for i in range(n)],
        "ranks": [*range(1, n + 1)],
        "first_ranks": [1] * n,
        "last_ranks": [n] * n,
        "signed": [0.5] * n,
        "signs": [1, *[-1] * (n - 1)],
        "separable": True,
        "tied": 1,
        "equal": 1,
        "examples": True,
    }
    value = Value(0.9, 0.8, 1.0, "first; 95 % interval", "held-out")
    told = {"rule": "at most five", "members": members, "data": {**known, **data}, "value": value, "task": task}
    return Finding(f"top_heads/{task.lower()}/1", "top_heads", "m", "observed", 0.2, f"{task}: leading heads.", **told)


def validation():
    """Recall needs its first heads, Retrieval does not; heads were knocked out alone on Recall."""
    trials = [
        trial(id="top/0", tasks=["Recall"], heads=["L0H1", "L2H3"], core=["L0H1"], examples=40, intact=INTACT),
        trial(id="top/1", tasks=["Retrieval"], heads=["L1H1"], core=["L1H1"], examples=40, verdict="unnecessary"),
    ]
    left = [Outcome(0.25, -2.0), INTACT]
    trials = [replace(t, knocked_out=o, specific=t is trials[0]) for t, o in zip(trials, left, strict=True)]
    tasks = [TaskTrial(t, 40, 40, INTACT, Outcome(0, -5), 0.1, 2.0, 0.1, None) for t in TASKS]
    lost = {t: {"mean": {}} for t in TASKS} | {"Recall": {"mean": {"L0H1": 0.512, "L2H3": 0.02}}}
    matrix = {t.id: dict.fromkeys(TASKS, INTACT) for t in trials}
    return Validation("", {}, tests=2, tasks=tasks, trials=trials, matrix=matrix, losses=lost)


def claim(n, task, **more):
    said = {"headline": f"Claim {n} about {task}", "body": "L0H1 carries it."}
    about = {"tasks": (task,), "exceptions": (), "support": (f"cluster/{task}/1",), "values": {}}
    made = Claim(f"heads/{n}", "heads", **said, register="tested", verdict=None, **about, strength=1 - n / 10)
    return replace(made, **more)


def everything():
    scores = make_scores(TASKS, examples=24)
    found = make_findings(scores)
    listed = [listing("Recall", ["L0H1", "L2H3", "L4H4", "L5H0", "L5H1", "L5H2"]), listing("Retrieval", ["L1H1"])]
    findings = replace(found, findings=[*found.findings, *listed])
    claims = ClaimsFile(
        tuple(claim(n, TASKS[n % 3], verdict="necessary" if n == 0 else None) for n in range(6)),
        searches=Remark("Looked for and not found: strips."),
    )
    text = {"tokens": ["<bos>", "Anna", " holds", " a", " cup"], "answer": [0.0, 0.9, 0.05, 0.0, 0.05]}
    patterns = [
        Pattern("Recall", "L0H1", role, "Recall", f"recall-{n}", 0.7, **text, expected="Anna")
        for n, role in enumerate(("median", "strongest"))
    ]
    return scores, findings, {"claims": claims, "validation": validation(), "patterns": Patterns("", {}, patterns)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        folder = tmp_path_factory.mktemp("page")
        scores, findings, more = everything()
        build(folder, scores, findings, make_study(formats=["html"]), **more)
    return folder


@pytest.fixture
def opened(browser, folder):
    contexts = []

    def opened(at="", width=1440, height=900, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.messages = []
        page.on("console", lambda m: page.messages.append(m.text))
        page.on("pageerror", lambda e: page.messages.append(str(e)))
        page.goto((folder / "report.html").as_uri() + at)
        if options.get("java_script_enabled", True):
            page.wait_for_selector("html[data-ready]")
        return page

    yield opened
    assert [m for context in contexts for page in context.pages for m in page.messages] == []
    for context in contexts:
        context.close()


def bottom(page, selector):
    box = page.locator(selector).last.bounding_box()
    return box["y"] + box["height"]


@pytest.mark.parametrize(("width", "height", "script"), [(1440, 900, True), (1440, 900, False), (390, 2 * 844, True)])
def test_the_first_screens_hold_claims_maps_knock_outs_and_heads(opened, width, height, script):
    page = opened(width=width, height=height, java_script_enabled=script)
    for part in (".strongest .told", ".small-maps figure", ".dumbbells tbody tr", ".which tbody tr"):
        assert page.locator(part).count() >= 2
        assert bottom(page, part) <= height, part
    assert page.locator(".strongest .headline").all_inner_texts() == [
        f"Claim {n} about {TASKS[n % 3]}" for n in range(4)
    ]
    assert page.locator(".strongest .badge").all_inner_texts()[:2] == ["tested", "needed"]
    assert page.locator(".byline").inner_text() == (
        "models/tiny · 3 tasks × 48 heads · 24 examples a task · gate gradient · knocked out on 40 held-out examples · "
        "not above chance on 2 tasks · 2023-11-14"
    )
    first = page.locator(".strongest, .byline, h1").all_inner_texts()
    assert not re.search(r"\d+ (tested findings|observations)", " ".join(first))
    assert page.locator(".small-maps .maximum").first.inner_text().startswith("max ")


def test_what_one_asks_of_a_task_is_answered_in_one_place(opened):
    page = opened()
    which = page.locator(".which")
    assert (
        "Without L0H1 and L2H3 10 of 40 are right; with all heads 40, and without other heads of the same layers 35.6 "
        in (which.inner_text())
    )
    assert which.locator(".badge").all_inner_texts() == ["needed", "specific"]
    titles = [t.strip() for t in which.locator("thead th").all_inner_texts()]
    assert titles == ["Head", "Log-odds per gate [95 %]", "Possible ranks", "Sign", "Out alone"]
    rows = [row.split("\t") for row in which.locator("tbody tr").all_inner_texts()]
    assert len(rows) == 5
    assert rows[0] == ["L0H1", "0.90 [0.80, 1.00]", "1–6", "positive", "0.51"]
    assert rows[2] == ["L4H4", "0.70 [0.60, 0.80]", "1–6", "negative", "—"]
    which.locator("select").select_option(label="Retrieval")
    assert "Without L1H1 40 of 40 are right" in which.inner_text()
    assert which.locator("tbody th").all_inner_texts() == ["L1H1"]
    assert "not needed" in page.locator(".dumbbells tbody tr").last.inner_text()


def test_a_head_has_a_card_with_all_that_is_known_of_it(opened):
    page = opened("#L0H1")
    card = page.locator(".card")
    assert page.evaluate("scrollY") == 0
    rows = [row.split("\t") for row in card.locator("table").first.locator("tbody tr").all_inner_texts()]
    recall = next(row for row in rows if row[0] == "Recall")
    assert recall[4:] == ["1–6", "positive", "0.51 ▲"]
    assert len(rows) == 3
    assert card.locator("svg.share").count() == 3
    assert card.locator("li", has_text="Recall: first heads").inner_text() == (
        "Recall: first heads: needed, specific; knocked out: L0H1"
    )
    looks = card.locator(".tokens tbody tr").first
    assert "Median recall-0" in looks.inner_text()
    assert looks.locator("b.answer").all_inner_texts() == ["\u2009Anna", "Anna"]
    page.locator(".find").fill("l2h3")
    page.keyboard.press("Enter")
    assert card.locator("h2").inner_text() == "L2H3"
    assert "; not in the core that was judged" in card.inner_text()
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    page.locator(".told a.head").first.click()
    assert (card.locator("h2").inner_text(), page.url.rpartition("#")[2]) == ("L0H1", "L0H1")
    card.get_by_role("button", name="Copy link").click()
    expect(page.locator(".copied")).not_to_have_text("")


def test_tables_are_sorted_and_searched(opened):
    page = opened()
    table = page.locator(".which table")
    ranks = table.locator("tbody td:nth-child(2)")
    before = ranks.all_inner_texts()
    for way in ("ascending", "descending"):
        table.get_by_role("button", name="Log-odds").click()
        assert table.locator("th[aria-sort]").get_attribute("aria-sort") == way
        assert ranks.all_inner_texts() == (before if way == "descending" else before[::-1])
    alone = table.locator("tbody td:nth-child(5)")
    table.get_by_role("button", name="Out alone").click()
    assert alone.all_inner_texts() == ["0.020", "0.51", "—", "—", "—"]  # what is missing stays last
    page.locator("#tables summary", has_text="All findings").click()
    page.get_by_label("Search: All findings, most important first").fill("cluster reason")
    shown = page.locator("#tables table:visible").last.locator("tbody tr:visible")
    assert shown.count() == 1


def test_a_filter_of_tasks_filters_claims_maps_and_rows(opened):
    page = opened()
    page.locator(".view summary").click()
    page.locator("label", has=page.get_by_text("Tasks named", exact=True)).locator("input").fill("retr")
    assert page.locator(".told:visible .headline").all_inner_texts() == [
        "Claim 1 about Retrieval",
        "Claim 4 about Retrieval",
    ]
    assert page.locator("figure.small:visible").count() == 1
    assert page.locator(".dumbbells tbody tr:visible").count() == 1
    page.get_by_role("button", name="Reset").click()
    expect(page.locator(".told:visible")).to_have_count(6)


def test_maps_are_enlarged_and_tasks_held_against_each_other(opened, folder):
    page = opened()
    page.locator("#figure-task-recall").get_by_role("button", name="Enlarge").click()
    explorer = page.locator("dialog.explore")
    plot = explorer.locator(".plot").bounding_box()
    assert plot["width"] / 8 >= 8
    assert explorer.locator("image.cells").get_attribute("xlink:href").startswith("data:image/png")
    explorer.get_by_label("Less").select_option(label="Reasoning")
    assert explorer.locator("h2").inner_text() == "Recall minus Reasoning"
    assert explorer.locator(".scatter .points").get_attribute("d").count("M") == 48
    plot = explorer.locator(".plot").bounding_box()
    page.mouse.move(plot["x"] + plot["width"] * 1.5 / 8, plot["y"] + plot["height"] * 0.5 / 6)
    told = explorer.locator(".readout").inner_text()
    (own,) = re.search(r"per gate: ([\d.e×^− ]+)", told).groups()
    other, less = re.search(r"Reasoning: ([\d.]+).*difference (−?[\d.]+)", told.replace("\n", " ")).groups()
    value = float(less.replace("−", "-"))
    assert told.startswith("L0H1")
    assert float(own) - float(other) == pytest.approx(value, rel=0.05, abs=2e-5)
    page.keyboard.press("Escape")
    expect(explorer).to_be_hidden()


def test_theme_contents_and_place(opened):
    page = opened(width=390, height=844)
    files = page.locator(".files")
    assert not files.is_visible()
    page.locator(".contents summary").click()
    assert [a.get_attribute("href") for a in files.locator("a").all()] == ["scores.csv", "findings.json", "cite.txt"]
    page.locator(".contents a", has_text="Reasoning").click()
    expect(page.locator(".here")).to_have_text("Task by task › Reasoning")
    expect(page.locator(".contents a[aria-current]")).to_have_text("Reasoning")
    assert not page.locator(".drawer").is_visible()
    page.locator(".contents summary").click()
    page.locator("button.theme").click()
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(21, 24, 28)"
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate(ground) == "rgb(21, 24, 28)"


def test_a_finger_is_told_of_a_head_beside_the_map(opened):
    page = opened(width=390, height=844, has_touch=True)
    panel = page.locator("figure.small .panel").first
    panel.scroll_into_view_if_needed()
    box = panel.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 1.5 / 8, box["y"] + box["height"] * 0.5 / 6)
    readout = page.locator(".readout")
    assert readout.inner_text().startswith("L0H1 Recall")
    over = readout.bounding_box()
    assert over["y"] >= box["y"] + box["height"] or over["y"] + over["height"] <= box["y"]
    assert not page.locator(".card").is_visible()
    page.get_by_text("All about L0H1").tap()
    assert page.locator(".card h2").inner_text() == "L0H1"


def test_the_tree_for_the_ear_is_read_in_the_order_of_the_eye(opened):
    page = opened()
    tree = page.locator("body").aria_snapshot()
    order = [
        'navigation "Contents"',
        'link "CSV"',
        'heading "A study of heads" [level=1]',
        'heading "Key observations" [level=2]',
        'heading "Claim 0 about Recall tested needed" [level=3]',
        'heading "Claim 3 about Recall tested" [level=3]',
        "Looked for and not found: strips.",
        'img "Importance of 48 heads on Recall, layer 0 at the top: at most',
        'table "Does it matter?',
        'table "At a glance: First heads on Recall"',
        'heading "Claim 4 about Retrieval tested" [level=3]',
        'heading "Overview" [level=2]',
        'heading "Task by task" [level=2]',
    ]
    places = [tree.find(said) for said in order]
    assert -1 not in places, order[places.index(-1)]
    assert places == sorted(places)


def made(scores, findings=None, **more):
    return build_report((scores,), findings or Findings({}, 0.05, 0, [], []), make_study(), {}, {}, **more)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (make_scores(("One",)), "no head was knocked out: nothing here is causal, and nothing has an interval"),
        (make_scores(("One",), (1, 12), synthetic=True), "says nothing about any model"),
        (make_scores(("One", "Two"), examples=24), "not above chance on Two"),
    ],
)
def test_the_line_under_the_title_ends_in_the_limit_that_matters_most(scores, said):
    assert first_screen.lede(made(scores))[-1] == said


def test_at_most_eight_maps_each_on_its_own_scale_with_its_largest_heads():
    report = made(make_scores([f"mmlu_high_school_{c}" for c in "abcdefghijkl"], (1, 40)))
    maps = first_screen.screen_maps(report)
    assert [m.task for m in maps] == [*range(8)]
    assert {m.scale[1] for m in maps} == {float(t.maps[0].values.max()) for t in report.tasks[:8]}
    assert len({*first_screen.short_names(report).values()}) == 12
    assert 'viewBox="0 0 100 35.000"' in maps[0].svg  # one layer is as high as can be seen


def test_findings_of_any_kind_add_columns_of_what_they_say_of_single_heads(monkeypatch):
    role = replace(kind_of("anomaly"), by_head=lambda f: {"Role": {"L0H1": "copies"}})
    monkeypatch.setattr(first_screen, "kind_of", lambda name: role if name == "anomaly" else kind_of(name))
    scores, findings, _ = everything()
    table = first_screen.first_table(made(scores, findings), 0, 0)
    assert table.columns[-1] == ("Role", False)
    assert [row[-1] for row in table.rows] == ["copies", *["—"] * 4]


def test_small_values_keep_their_digits_and_share_their_decimals():
    rows = first_screen.first_table(made(make_scores(("One",), examples=24)), 0, 0).rows
    told = [re.fullmatch(r"(0\.000\d+) \[(0\.000\d+), (0\.00\d+)\]", row[1]) for row in rows]
    assert all(told)
    assert len({len(match[1]) for match in told}) == 1


def test_without_a_listing_the_largest_heads_stand_and_ties_are_told():
    scores = make_scores(("One",))
    scores = replace(scores, importance=scores.importance * 0 + 1)
    table = first_screen.first_table(made(scores), 0, 0)
    assert [title for title, _ in table.columns] == ["Head", "Log-odds per gate", "Rank"]
    assert table.note == (
        "No intervals: there are no per-example scores, or too few. 48 heads tie at 1.00, rank 1; 5 of them are listed."
    )


def test_attention_is_told_in_runs_of_one_shade_the_answer_marked_and_long_texts_shortened():
    (row,) = attention_rows([Pattern("T", "L0H0", "median", "T", "1", 0.5, ["a", "b", "b", "c"], [0.81, 0, 0, 0.19])])
    assert [(level, answer) for level, answer, _ in row.runs] == [(9, False), (0, False), (4, False)]
    tokens = [f"t{i}" for i in range(200)]
    (row,) = attention_rows([Pattern("T", "L0H0", "control", "U", "1", 0.5, tokens, [*[0.0] * 100, *[0.01] * 100])])
    text = "".join(part for _, _, part in row.runs)
    assert text.startswith(" … ")
    assert text.count("…") == 2
    assert row.role == "Control, U"
