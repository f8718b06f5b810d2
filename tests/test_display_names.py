"""Names keep what tells them apart, whatever room there is."""

import pytest

from reportgen.core.display_names import pieces, shared_prefix, short_names, told_apart

MMLU = [f"mmlu_{level}_{name}" for level in ("high_school", "college") for name in ("biology", "physics", "chemistry")]
MASSIVE = [f"Massive multitask language understanding: {name}" for name in ("anatomy", "virology", "us history")]
BBH = [
    f"bbh_cot_fewshot_{task}_{number}_objects"
    for task in ("tracking_shuffled_objects", "logical_deduction")
    for number in ("three", "five", "seven")
]
MIXED = ["mmlu_high_school_european_history", "mmlu_high_school_us_history", *BBH]
SCRIPTS = [
    "知识回忆：检索",
    "知识回忆：推理",
    "ज्ञान-पुनःप्राप्ति",
    "x" * 150,
    "x" * 151,
    f"a{'y' * 90}b",
    f"a{'y' * 80}b",
    "",
]


@pytest.mark.parametrize(
    ("names", "prefix"),
    [
        (MMLU, "mmlu_"),
        (MASSIVE, "Massive multitask language understanding: "),
        (BBH, "bbh_cot_fewshot_"),
        (MIXED, ""),
        (["Semantic Understanding", "Syntactic Understanding"], ""),
        (["Task 1", "Task 2"], ""),
        (["mmlu_high_school_a", "mmlu_high_school_b"], "mmlu_high_"),
        (["mmlu", "mmlu_anatomy"], ""),
        (["mmlu_anatomy"], ""),
        ([], ""),
    ],
)
def test_what_all_names_begin_with_is_left_out_and_nothing_more(names: list[str], prefix: str) -> None:
    assert shared_prefix(names) == prefix
    assert list(short_names(names).values()) == [name[len(prefix) :] for name in names]


def test_names_break_behind_their_marks() -> None:
    assert pieces("a_b-c: d/e.f") == ["a_", "b-", "c: ", "d/", "e.", "f"]
    assert pieces("C:\\Users") == ["C:\\", "Users"]


@pytest.mark.parametrize("names", [MMLU, MASSIVE, BBH, MIXED, SCRIPTS, ["same  name", "same name"]])
@pytest.mark.parametrize("room", [8, 12, 20, 30])
def test_names_fit_and_are_told_apart(names: list[str], room: int) -> None:
    made = told_apart(names, lambda text: len(text) <= room)
    assert list(made) == names
    assert all(len(label) <= room for label in made.values())
    assert len(set(made.values())) == len(names)


def test_the_parts_that_tell_a_name_are_kept() -> None:
    made = told_apart(MIXED, lambda text: len(text) <= 26)
    assert made["mmlu_high_school_european_history"] == "…school_european_history"
    assert made["bbh_cot_fewshot_logical_deduction_five_objects"] == "…logical_deduction_five_…"
    assert made["bbh_cot_fewshot_tracking_shuffled_objects_five_objects"] == "…tracking_shuffled_…five_…"
