"""Small reports made through the whole pipeline, from scores made by hand."""

from pathlib import Path

import numpy as np

from reportgen.core.scores import Examples, HeadScores, Method, Model, Task, split_halves
from reportgen.pipeline import build as pipeline
from reportgen.pipeline.options import Options
from reportgen.storage.scores_file import scores_bytes

EPOCH = "1700000000"
STUDY = """[study]
title = "A study of heads"
authors = ["Ada Author"]

[scores]
path = "{name}.safetensors"

[analysis]
permutations = 999

[report]
formats = [{formats}]
"""


def make_scores(
    seed: int = 0,
    tasks: tuple[str, ...] = ("Recall", "Logic"),
    shape: tuple[int, int] = (8, 10),
    examples: int = 24,
    shift: float = 0.0,
    ids: str = "",
    **rest: object,
) -> HeadScores:
    """Scores per example with a block of strong heads in the first task; ``shift`` is added to the last head."""
    rng, base = np.random.default_rng(seed), np.random.default_rng(7).lognormal(-6, 0.4, (len(tasks), *shape))
    base[0, 2:5, 1:5] *= 6
    base[:, -1, -1] += shift
    names = [f"{ids}{i}" for i in range(examples)]
    made = tuple(
        Examples(
            (b * rng.lognormal(0, 0.2, (examples, *shape))).astype(np.float32),
            tuple(names),
            tuple(names),
            split_halves(names, 0),
        )
        for b in base
    )
    about = tuple(Task(name, n=examples, accuracy=0.9, chance=0.5) for name in tasks)
    model = Model(str(rest.pop("model", "models/tiny")), kv_groups=shape[1])
    maps = np.stack([e.values.mean(axis=0) for e in made])
    return HeadScores(maps, about, Method("gate_gradient", "log-odds"), model, made, "mean", **rest)  # type: ignore[arg-type]


def write_study(
    folder: Path, scores: HeadScores, name: str = "made", formats: tuple[str, ...] = ("html", "pdf")
) -> Path:
    """A study.toml beside the scores that it names."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.safetensors").write_bytes(scores_bytes(scores))
    quoted = ", ".join(f'"{form}"' for form in formats)
    (folder / "study.toml").write_text(STUDY.format(name=name, formats=quoted))
    return folder / "study.toml"


def build(source: Path, scores: HeadScores, folder: Path, **rest: tuple[str, ...]) -> pipeline.Built:
    """The report on scores made by hand."""
    return pipeline.build(
        write_study(source, scores, **rest), folder, options=Options(command="reportgen build study.toml")
    )  # type: ignore[arg-type]
