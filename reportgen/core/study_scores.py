"""All scores of one study: by method, and of each method by block of heads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reportgen.core.blocks import Blocks, as_blocks
from reportgen.core.config import ScoresSection, Study
from reportgen.core.scores import HeadScores, Task
from reportgen.errors import InputError


@dataclass(frozen=True, eq=False)
class Scores:
    """What scoring makes: the scores by each method of a study, the study's first method first.

    ``methods`` gives of every method its blocks of heads, one without a name but in an encoder-decoder; ``key`` is what
    the scores were made under, empty where they come from memory. Raises InputError where there is no method.
    """

    study: Study
    methods: Mapping[str, Blocks]
    key: str = ""

    def __post_init__(self) -> None:
        if not self.methods:
            raise InputError("there are no scores", "scores", "Give those of one method at least")

    @classmethod
    def of(cls, scores: HeadScores | Sequence[HeadScores], study: Study | None = None) -> "Scores":
        """Return the scores of one method, a HeadScores or one for each block, as those of a study."""
        blocks = as_blocks(scores)
        here = Study(scores=ScoresSection(path=Path("scores.safetensors")))  # where they lie once they are written
        return cls(study or here, {blocks[0].method.name: blocks})

    @property
    def blocks(self) -> Blocks:
        """The first method's scores, on which findings are made."""
        return next(iter(self.methods.values()))

    @property
    def others(self) -> dict[str, Blocks]:
        """The scores by all further methods."""
        _, *rest = self.methods
        return {name: self.methods[name] for name in rest}

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks, the same for every method and block."""
        return self.blocks[0].tasks

    def grouped(self) -> "Scores":
        """Return the scores with the study's task groups; raises InputError for a group of tasks that there are not."""
        groups = self.study.tasks.groups
        named = {name: tuple(block.with_groups(groups) for block in blocks) for name, blocks in self.methods.items()}
        return replace(self, methods=named)
