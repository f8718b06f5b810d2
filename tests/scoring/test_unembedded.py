"""Tokens that a model has no embedding for, and the key of scores whose study sets none of the later keys."""

from pathlib import Path
from typing import Any

import pytest
from test_score import Make
from tiny_models import build, word_tokenizer

from reportgen.core.config import Study
from reportgen.errors import InputError
from reportgen.pipeline.cache_keys import scores_key
from reportgen.scoring.run.prepare import prepare


def saved(folder: Path) -> dict[str, Any]:
    tokenizer = word_tokenizer()
    build("llama", vocab_size=len(tokenizer)).save_pretrained(folder)
    tokenizer.add_tokens(["extra"])
    tokenizer.save_pretrained(folder)
    return {"path": str(folder)}


@pytest.mark.parametrize(
    "changed", [{"prompt": "one extra"}, {"answer": "extra"}, {"choices": ["three", "extra"]}, {"foil": "extra two"}]
)
def test_a_token_without_an_embedding_is_named_with_its_row(
    study_of: Make, tmp_path: Path, changed: dict[str, Any]
) -> None:
    rows = [{"task": "t", "id": str(i), "prompt": "one two", "answer": "three"} for i in range(3)]
    study = study_of(rows=[*rows, {**rows[0], "id": "bad", **changed}], model=saved(tmp_path / "m"))
    with pytest.raises(InputError) as caught:
        prepare(study)
    size = len(word_tokenizer())
    assert str(caught.value).startswith(
        f"{tmp_path}/tasks.jsonl, line 4 (id 'bad'): the model has no embedding for the token 'extra': "
        f"it is number {size}, counted from 0, and there are {size}. Resize the model's embeddings"
    )


def limited(study: Study, **tasks: Any) -> Study:
    return study.model_copy(update={"tasks": study.tasks.model_copy(update=tasks)})


def test_keys_of_tasks_that_are_not_set_leave_the_scores_key_as_it_was(study_of: Make) -> None:
    study = study_of()
    plain = scores_key(study)
    assert scores_key(limited(study, chat_template_kwargs={}, answer_prefix=None)) == plain
    for changed in ({"answer_prefix": "the"}, {"target_language": "fr"}, {"max_length": 9}):
        assert scores_key(limited(study, **changed)) != plain
