"""Function Vectors' ``<task>_indirect_effect.pt``: a tensor (trial, layer, head) saved by PyTorch.

Source: Todd et al. 2023, "Function Vectors in Large Language Models", arXiv 2310.15213; its
compute_indirect_effect.py writes the file. Trials are prompts drawn at random, each its own example; their importance
is the mean of the signed effects, by which the authors rank heads.
"""

from pathlib import Path

from reportgen.core.config import ScoresSection
from reportgen.core.scores import HeadScores, Method
from reportgen.errors import InputError
from reportgen.importers.arrays import as_array, read_torch
from reportgen.importers.common import Importer, as_examples, method_of, numbers, scores_from_examples

NAME = "_indirect_effect"
METHOD = Method(
    "indirect effect",
    unit="probability",
    family="patching",
    signed=True,
    metric="probability of the answer’s first token",
    formula="s_e(h) = p(y_e | a_h ← mean a_h) − p(y_e)",
    meaning="Read from a file of the Function Vectors code; reportgen did not compute it. On a prompt whose examples "
    "carry shuffled labels, the output a_h of one head at the last token is replaced by its mean over prompts of the "
    "task: a positive score says that this brings the right answer y_e back.",
    references=[
        "Todd, E., Li, M. L., Sen Sharma, A., Mueller, A., Wallace, B. C. & Bau, D. (2024). Function vectors in "
        "large language models. ICLR. arXiv:2310.15213."
    ],
)


def claims(path: Path) -> bool:
    """Return whether the file is a .pt called ``<task>_indirect_effect``."""
    return path.suffix.lower() == ".pt" and path.stem.endswith(NAME)


def load(path: Path, section: ScoresSection) -> HeadScores:
    """Read one task, called as the file is, with one example per trial; raises InputError for another shape."""
    values = numbers(as_array(read_torch(path), str(path)), str(path))
    if values.ndim != 3:
        problem = f"a tensor of shape {values.shape} is not (trial, layer, head)"
        hint = (
            "Save the effects of one token position, such as effects[..., -1]"
            if values.ndim == 4
            else ("Save the effects of all trials, as compute_indirect_effect.py does")
        )
        raise InputError(problem, str(path), hint)
    examples = as_examples(values, [f"trial {i}" for i in range(len(values))], ordered=False)
    task = path.stem.removesuffix(NAME) or "Task 0"
    method = method_of(section, METHOD)
    return scores_from_examples([task], [examples], [values[0]], section, method, "mean")


IMPORTER = Importer("function-vectors", "Function Vectors' <task>_indirect_effect.pt", claims, load, order=90)
