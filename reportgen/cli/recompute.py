"""Lines of Python that compute a finding's numbers again from the stored scores, by arithmetic alone.

They cover what is plain arithmetic on one task's map, with no detector of ours: the importance of a finding's heads,
and its effect where that is a ratio, a share or a mean of such importances.
"""

from pathlib import Path

from reportgen.core.findings import Finding


def by_hand(finding: Finding, folder: Path) -> list[str]:
    """A program that prints the finding's value and then its effect, each on a line; nothing for other findings."""
    numbers = [*_value(finding), *_effect(finding)]
    if not numbers or finding.task is None:
        return []
    block = "" if finding.block is None else f", block={finding.block!r}"
    held_out = "in-sample" not in finding.caveats if finding.value is None else finding.value.split == "held-out"
    importance = "scores.importance[t]"
    if held_out:
        importance = "reduce_examples(examples.values[~examples.discovery], scores.reduction)"
    return [
        *(["import numpy as np"] if any("np." in line for line in numbers) else []),
        "from reportgen import load_scores",
        *(["from reportgen.core.scores import reduce_examples"] if held_out else []),
        f"scores = load_scores({str(folder / 'scores.safetensors')!r}{block})",
        f"t = scores.task_names.index({finding.task!r})",
        *(["examples = scores.examples[t]"] if held_out else []),
        f"importance = abs({importance}.astype(float))",
        *numbers,
    ]


def _cells(finding: Finding) -> str:
    """The index of a finding's heads in a map of its task; empty where it is on no heads."""
    if finding.layers is None or finding.heads is None:
        return ""
    if finding.cells is not None:
        return ", ".join(str([cell[axis] for cell in finding.cells]) for axis in (0, 1))
    (top, bottom), (first, last) = finding.layers, finding.heads
    return f"{top}:{bottom + 1}, {first}:{last + 1}"


def _value(finding: Finding) -> list[str]:
    cells = _cells(finding)
    return [f"print(importance[{cells}].mean())  # value"] if finding.value is not None and cells else []


def _effect(finding: Finding) -> list[str]:
    lines = _effect_lines(finding)
    return [*lines[:-1], f"{lines[-1]}  # effect"] if lines else []


def _effect_lines(finding: Finding) -> list[str]:
    """The effect, for the kinds where it is arithmetic on the map; heads that there are not are NaN there."""
    data, layers = finding.data or {}, finding.layers
    if finding.effect is None or layers is None:
        return []
    rows = f"importance[{layers[0]}:{layers[1] + 1}]"
    match finding.kind:
        case "cluster" | "row_segment":
            return [
                "inside = np.zeros(importance.shape, dtype=bool)",
                f"inside[{_cells(finding)}] = True",
                "layers = inside.any(axis=1)",
                "print(importance[inside].mean() / np.nanmean(importance[layers][~inside[layers]]))",
            ]
        case "anomaly" if data.get("range"):
            first, last = data["range"]
            return [
                f"largest = np.sort(np.nan_to_num(importance[{first}:{last + 1}]), axis=None)[::-1]",
                "print(largest[0] / largest[1])",
            ]
        case "weakest_layers":
            return [
                "means = np.nanmean(importance, axis=1)",
                f"print(means[{finding.members}].mean() / np.nanmean(means))",
            ]
        case "sparse_layers" if data.get("condition") == "few":
            return [f"print(np.mean([(row[row >= 0] >= np.nanmedian(importance)).mean() for row in {rows}]))"]
        case "sparse_layers":
            return [f"print(np.nanmax({rows}) / np.median(np.nanmax(importance, axis=1)))"]
        case "layer_band":
            return [
                f"inside, every = np.nansum({rows}), np.nansum(importance)",
                f"print(inside / every / (np.isfinite({rows}).sum() / np.isfinite(importance).sum()))",
            ]
    return []
