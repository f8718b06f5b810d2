"""Folders of tiny models, and studies of them."""

import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from designed_models import copier, copying_rows, induction_pair, induction_rows
from known_heads import COPIER, PAIR
from tiny_models import ROWS, build, word_tokenizer
from transformers.utils import logging

from reportgen.core.config import Study
from reportgen.core.config_file import parse_study
from reportgen.scoring.data.batches import Encoded
from reportgen.scoring.model.loaded import LoadedModel


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="session")
def quiet_saving() -> Iterator[None]:
    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder holding the model of that name and its tokenizer; do not change it."""
    made: dict[str, Path] = {}

    def make(architecture: str) -> Path:
        if architecture not in made:
            made[architecture] = tmp_path_factory.mktemp(architecture)
            build(architecture).save_pretrained(made[architecture])
            word_tokenizer().save_pretrained(made[architecture])
        return made[architecture]

    return make


@pytest.fixture
def tasks(tmp_path: Path) -> Callable[[list[dict[str, Any]]], Path]:
    """Write rows into tasks.jsonl."""

    def write(rows: list[dict[str, Any]]) -> Path:
        path = tmp_path / "tasks.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def study_of(
    folder_of: Callable[[str], Path], tasks: Callable[[list[dict[str, Any]]], Path], tmp_path: Path
) -> Callable[..., Study]:
    """A study of a tiny model on ROWS; keywords change [scoring], ``rows`` the task file, ``model`` [model]."""

    def make(
        architecture: str = "llama",
        rows: list[dict[str, Any]] | None = None,
        model: dict[str, Any] | None = None,
        **scoring: Any,
    ) -> Study:
        path = tasks(ROWS if rows is None else rows)
        model = model if model and "path" in model else {"path": str(folder_of(architecture)), **(model or {})}
        return parse_study({"model": model, "tasks": {"path": str(path)}, "scoring": scoring}, "study.toml", tmp_path)

    return make


@pytest.fixture
def little_memory() -> Iterator[Callable[[int], None]]:
    """Bound this process to so many bytes more than it has now."""
    before = resource.getrlimit(resource.RLIMIT_AS)

    def bound(more: int) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))

    yield bound
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module", params=["pair", "copier"])
def known(request: pytest.FixtureRequest) -> tuple[str, LoadedModel, list[Encoded], list[tuple[int, int]]]:
    if request.param == "pair":
        model = induction_pair()
        return "pair", model, induction_rows(model), PAIR
    model = copier()
    return "copier", model, copying_rows(model), COPIER
