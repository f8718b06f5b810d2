"""A report's heads and claims in the forms of other tools, as files; nothing is sent anywhere.

Sets of heads are those that findings name, and each task's leading heads, ``top/<task>``. Layers and heads count from
zero. In an encoder-decoder a set's mask is that of one block, whose name follows the set's.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from reportgen.core.blocks import parsed
from reportgen.core.claims import Claims
from reportgen.core.findings import Findings
from reportgen.core.study_scores import Scores
from reportgen.errors import InputError, nearest
from reportgen.pipeline.reading import open_folder, read_claims, read_findings, read_trials
from reportgen.rendering.paper.latex import escaped
from reportgen.storage.files import write_atomic
from reportgen.storage.json_files import canonical_json, pretty_json

Files = Iterator[tuple[str, bytes | str]]
HOW = '''"""Take sets of heads out of a model: masks.safetensors holds each by its name, true where a head is in it."""

from safetensors.torch import load_file

MASKS = load_file("masks.safetensors")  # set: (layer, head)


def transformer_lens_hooks(name):
    """Return fwd_hooks for HookedTransformer.run_with_hooks that zero the set's heads."""
    mask = MASKS[name]

    def zero(z, hook):  # (batch, position, head, head size)
        z[:, :, mask[hook.layer()].to(z.device)] = 0
        return z

    return [(f"blocks.{layer}.attn.hook_z", zero) for layer in range(len(mask)) if mask[layer].any()]


def nnsight_zero(projections, name, size):
    """Within a trace, zero the set's heads; projections: one output projection a layer, such as self_attn.o_proj."""
    for layer, heads in enumerate(MASKS[name]):
        for head in heads.nonzero().flatten().tolist():
            projections[layer].input[:, :, head * size : (head + 1) * size] = 0
'''
WANDB = '''"""Log the heads as a table and an artifact of Weights & Biases: python log_to_wandb.py PROJECT."""

import json
import sys

import wandb

table = json.load(open("heads.table.json", encoding="utf-8"))
with wandb.init(project=sys.argv[1], job_type="head-report") as run:
    run.log({"heads": wandb.Table(columns=table["columns"], data=table["data"])})
    artifact = wandb.Artifact("head-report", type="report", metadata=json.load(open("artifact.json", encoding="utf-8")))
    artifact.add_file("heads.table.json")
    run.log_artifact(artifact)
'''


@dataclass(frozen=True)
class Opened:
    """A run directory as it is exported: scores, claims, and the ``top`` leading heads of each task."""

    folder: Path
    scores: Scores
    findings: Findings
    claims: Claims
    top: int

    @cached_property
    def sets(self) -> Mapping[str, tuple[str | None, Bool[np.ndarray, "layer head"]]]:
        """The sets of heads by name, each with its block and its mask."""
        found: dict[str, tuple[str | None, np.ndarray]] = {}
        for block in self.scores.blocks:
            end = f"/{block.block}" if block.block else ""
            for name, importance in zip(block.task_names, block.importance, strict=True):
                found[f"top/{name}{end}"] = block.block, _largest(importance, self.top)
            for f in self.findings.of_block(block.block).findings:
                mask = f.mask(block.present.shape) & block.present
                for member in [m for m in f.members or [] if isinstance(m, str)]:
                    mask[parsed(member)] = True
                if mask.any():
                    found[f"{f.id}{end}"] = block.block, mask
        return found

    def rows(self) -> Iterator[tuple[str, str | None, int, int, float]]:
        """Yield task, block, layer, head and importance of every head that was scored."""
        for block in self.scores.blocks:
            for name, importance in zip(block.task_names, block.importance, strict=True):
                for layer, head in np.argwhere(block.present).tolist():
                    yield name, block.block, layer, head, float(importance[layer, head])


def _largest(importance: np.ndarray, top: int) -> Bool[np.ndarray, "layer head"]:
    """Return the heads of the ``top`` largest sizes, with those that tie with the last of them."""
    sizes = np.abs(importance)
    known = np.sort(sizes[~np.isnan(sizes)])[::-1]
    least = known[min(top, len(known)) - 1]
    chosen: np.ndarray = np.nan_to_num(sizes, nan=-1) >= least
    return chosen


def _heads_json(opened: Opened) -> Files:
    path = opened.folder / "heads.json"
    if not path.is_file():
        raise InputError("there is no heads.json in it", str(opened.folder), "Run `reportgen render` on the folder")
    yield "heads.json", path.read_bytes()


def _parquet(opened: Opened) -> Files:
    import io

    import pandas as pd

    frame = pd.DataFrame(opened.rows(), columns=["task", "block", "layer", "head", "importance"])
    frame["importance"] = frame["importance"].astype("float32")
    out = io.BytesIO()
    (frame if frame["block"].notna().any() else frame.drop(columns="block")).to_parquet(out, index=False)
    yield "scores.parquet", out.getvalue()


def _masks(opened: Opened) -> Files:
    from safetensors.numpy import save

    yield "masks.safetensors", save({name: np.ascontiguousarray(mask) for name, (_, mask) in opened.sets.items()})
    yield "use_masks.py", HOW


def _head_mask(opened: Opened) -> Files:
    """transformers' own: 1 keeps a head, 0 takes it out."""
    from safetensors.numpy import save

    kept = {name: (~mask).astype(np.float32) for name, (_, mask) in opened.sets.items()}
    yield "head_mask.safetensors", save(kept)


def _mib(opened: Opened) -> Files:
    """A graph of nodes a set, as EAP-IG and MIB's circuit track read it; of edges reportgen knows nothing."""
    scores = opened.scores.blocks[0]
    if len(opened.scores.blocks) > 1 or scores.block is not None:
        problem = "MIB's graphs have no encoder-decoders"
        raise InputError(problem, str(opened.folder), "Export the masks, whose sets name their block")
    config = {"n_layers": scores.n_layers, "n_heads": scores.n_heads, "model": scores.model.path}
    for t, name in enumerate(scores.task_names):
        mask = opened.sets[f"top/{name}"][1]
        nodes = {
            f"a{layer}.h{head}": {
                "in_graph": bool(mask[layer, head]),
                "score": float(f"{scores.importance[t, layer, head]:.9g}"),
            }
            for layer, head in np.argwhere(scores.present).tolist()
        }
        content = {"cfg": config, "nodes": nodes, "edges": {}}
        yield f"mib/{_file(name, t)}.json", canonical_json(content) + "\n"


def _file(name: str, number: int) -> str:
    """Return a file's name for a task: its letters and digits, and its number, which tells like names apart."""
    plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower()).strip("-")[:60]
    return f"{number}-{plain}" if plain else str(number)


def _wandb(opened: Opened) -> Files:
    first = opened.scores.blocks[0]
    data = [list(row) for row in opened.rows()]
    yield (
        "wandb/heads.table.json",
        pretty_json({"columns": ["task", "block", "layer", "head", "importance"], "data": data}),
    )
    about = {
        "model": first.model.path,
        "weights_sha256": first.model.weights_sha256,
        "method": first.method.name,
        "unit": first.method.unit,
        "scores": dict(opened.findings.scores),
        "claims": [c.headline for c in opened.claims.claims],
    }
    yield "wandb/artifact.json", pretty_json(about)
    yield "wandb/log_to_wandb.py", WANDB


def _claim_rows(opened: Opened) -> list[tuple[str, str, str]]:
    return [(c.headline, c.body, ", ".join(c.badges)) for c in opened.claims.claims]


def _markdown(opened: Opened) -> Files:
    yield "claims.md", "\n".join(_markdown_table(opened)) + "\n"


def _markdown_table(opened: Opened) -> Iterator[str]:
    yield "| Claim | Evidence | |"
    yield "|---|---|---|"
    for row in _claim_rows(opened):
        yield "| " + " | ".join(_in_markdown(cell) for cell in row) + " |"


def _in_markdown(text: str) -> str:
    """Return text of which nothing is taken for Markdown or HTML."""
    for mark in "\\`*_{}[]<>#|~$":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _latex(opened: Opened) -> Files:
    rows = "\n".join(" & ".join(escaped(cell) for cell in row) + r" \\" for row in _claim_rows(opened))
    body = (
        "% \\usepackage{booktabs,tabularx}\n\\begin{table}\n\\caption{What the scores of attention heads bear.}\n"
        "\\label{tab:head-claims}\n\\begin{tabularx}{\\linewidth}{XXl}\n\\toprule\nClaim & Evidence & \\\\\n\\midrule\n"
        f"{rows}\n\\bottomrule\n\\end{{tabularx}}\n\\end{{table}}\n"
    )
    yield "claims.tex", body


def _model_card(opened: Opened) -> Files:
    """A section of a model card of the Hugging Face hub."""
    first = opened.scores.blocks[0]
    tasks = ", ".join(_in_markdown(name) for name in first.task_names[:8])
    more = f" and {len(first.tasks) - 8:,} more" if len(first.tasks) > 8 else ""
    scored, total = first.coverage
    part = f" {scored:,} of {total:,} heads were scored." if scored < total else ""
    made_up = " The scores are made up, not measured." if first.synthetic else ""
    lines = [
        "## Attention heads",
        "",
        f"What a report on attention heads bears; method: {_in_markdown(first.method.name)}, in units of "
        f"{_in_markdown(first.method.unit)}; tasks: {tasks}{more}.{part}{made_up}",
        "",
        *_markdown_table(opened),
        "",
        "*tested*: survived a statistical test, corrected for how many there were; *observed*: an exact statement on "
        "these scores. Heads count from zero: L6H24 is head 24 of layer 6. Scores: "
        + ", ".join(f"`{name}` sha256 `{digest}`" for name, digest in opened.findings.scores.items())
        + ".",
    ]
    yield "model_card.md", "\n".join(lines) + "\n"


FORMATS: Mapping[str, Callable[[Opened], Files]] = {
    "heads": _heads_json,
    "parquet": _parquet,
    "masks": _masks,
    "head-mask": _head_mask,
    "mib": _mib,
    "wandb": _wandb,
    "model-card": _model_card,
    "markdown": _markdown,
    "latex": _latex,
}


def export(folder: Path, output: Path, formats: tuple[str, ...], top: int = 10) -> list[Path]:
    """Write a run directory's heads and claims in other tools' forms; return the files.

    Raises InputError for an unknown form, for a directory without findings, and for one that is the output itself.
    """
    for name in formats:
        if name not in FORMATS:
            raise InputError(f"no form is called {name!r}", "reportgen export", nearest(name, list(FORMATS)))
    if output.resolve() == folder.resolve():
        raise InputError("this is the report's own folder", str(output), "Choose another with -o")
    scores, _ = open_folder(folder)
    trials = read_trials(folder, read_findings(folder, scores))
    opened = Opened(folder, scores, trials.findings, read_claims(folder, trials), top)
    # all forms are made before the first is written: what cannot be made leaves nothing behind
    made = [file for name in formats for file in FORMATS[name](opened)]
    for name, content in made:
        write_atomic(output / name, content)
    return [output / name for name, _ in made]
