"""``head_importance.npy`` (layer, head), as the old bertology example of transformers and its descendants write it.

Source: run_bertology.py of Hugging Face's transformers, after Michel et al. 2019, "Are Sixteen Heads Really Better than
One?", arXiv 1905.10650. By default the script divides each layer by its Euclidean norm and then stretches
the whole map to 0–1; the file does not say whether it did, so the method's description says both. Arrays under any
other name are read by the ``arrays`` importer.
"""

from pathlib import Path

from reportgen.core.config import ScoresSection
from reportgen.core.scores import HeadScores, Method
from reportgen.importers.arrays import read_npy
from reportgen.importers.common import Importer, method_of, scores_from_arrays

NAME = "head_importance"
METHOD = Method(
    "bertology head importance",
    unit="head importance",
    family="gradient",
    meaning="Read from a head_importance.npy; reportgen did not compute it. The bertology example of transformers sums "
    "the gradient of the loss on a head’s gate over a batch, and only then takes the absolute value: examples of one "
    "batch cancel each other, so that the result depends on the batch size. By default it then divides each layer by "
    "its norm, which makes layers incomparable, and stretches the map to 0–1, so that 0 is the least head, not an idle "
    "one; the file does not tell whether that was done.",
    references=[
        "Michel, P., Levy, O. & Neubig, G. (2019). Are sixteen heads really better than one? NeurIPS 32. "
        "arXiv:1905.10650."
    ],
)


def claims(path: Path) -> bool:
    """Return whether the file is called head_importance.npy, or that with a prefix."""
    return path.suffix.lower() == ".npy" and path.stem.endswith(NAME)


def load(path: Path, section: ScoresSection) -> HeadScores:
    """Read one task, called by the file's prefix; raises InputError for anything but a plain array of numbers."""
    task = path.stem.removesuffix(NAME).strip("_-. ") or "Task 0"
    return scores_from_arrays(path, {task: read_npy(path)}, section, method_of(section, METHOD))


IMPORTER = Importer(
    "bertology", "head_importance.npy of transformers' bertology example", claims, load, order=80, axis=True
)
