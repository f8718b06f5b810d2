"""What scoring costs against plain runs and other tools: ``python benchmarks/scoring.py [sample|square] [--peers]``.

One run on one thread, the same weights and the same prompts for all: process CPU time, median of the rounds after a
warm-up, the works in turns so that a busy neighbour slows them all alike. Before times are compared, every tool's
numbers are compared with reportgen's. Peak memory is each work's own, in a process of its own. ``--peers`` needs
benchmarks/requirements.txt.

The floor of exact ablation, in multiplications per token, is what no exact method can leave out: for a head of layer l
its projection and its layer's MLP, all of the layers between, of the last layer the keys and values, and the rest of
that layer, and the logits, at answer positions alone; it is given in plain forwards (all layers, logits at answer
positions) and its time is that share of a plain forward's. Two runs more are counted in it, because the result holds
them: the unchanged model, which every difference is taken from, and all heads at once (as a head of the lowest layer),
against which a small effect is judged. The ratio with heads alone in the floor, as it was stated before, is given too.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from reportgen.core.config import ModelSection, ScoringSection, Study, TasksSection  # noqa: E402
from reportgen.scoring.data.batches import Batch, collate  # noqa: E402
from reportgen.scoring.methods.common.method import Setting  # noqa: E402
from reportgen.scoring.model.interventions import edited, scaled  # noqa: E402
from reportgen.scoring.run.prepare import Prepared, prepare  # noqa: E402

BATCH = 32
PEERS = ("hooks", "transformer_lens", "nnsight", "pyvene", "captum")
CALLS = {"forward": 10, "forward + backward": 5, "gate_gradient": 5, "gradients, batches of one": 1}
TARGETS = {
    "gate_gradient / forward + backward": ("≤", 1.05),
    "gradients, batches of one / gate_gradient": ("≥", 3.0),
    "zero_ablation / its floor": ("≤", 1.15),
    "zero_ablation / the heads' part of its floor": ("≤", 1.15),
    "a header of 64 tokens run for each example / once": ("≥", 1.0),
    "best peer / zero_ablation": ("≥", 2.2),
    "best peer, logits matched / zero_ablation": ("≥", 2.0),
}
HEADER = 64
ONCE, EACH = (f"zero_ablation, a header of {HEADER} tokens run {how}" for how in ("once", "for each example"))
Works = dict[str, Callable[[], Any]]


def median_cpu(works: Works, rounds: int) -> dict[str, float]:
    """Seconds of process CPU time of each work, in turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _round in range(rounds + 1):
        for name, work in works.items():
            start, calls = time.process_time(), CALLS.get(name, 1)
            for _ in range(calls):
                work()
            times[name].append((time.process_time() - start) / calls)
    return {name: statistics.median(seconds[1:]) for name, seconds in times.items()}


@torch.no_grad()
def plain_forward(setting: Setting, batch: Batch) -> None:
    setting.model.answer_logits(batch)


def plain_backward(setting: Setting, batch: Batch) -> None:
    """Forward and backward to the input embeddings, parameters frozen, logits at the same positions."""
    embedded: list[torch.Tensor] = []

    def hook(_: object, __: object, output: torch.Tensor) -> torch.Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[0]

    handle = setting.model.model.get_input_embeddings().register_forward_hook(hook)
    try:
        torch.autograd.grad(setting.value(batch)[0].sum(), embedded)
    finally:
        handle.remove()


def one_by_one(setting: Setting, batch: Batch) -> np.ndarray:
    """Gradients to gates as published scripts take them: a loop over examples without padding."""
    found = []
    for e in range(batch.size):
        one = batch.taken([e])
        length = int(one.attention_mask.sum())
        one = replace(one, **{name: getattr(one, name)[:, :length] for name in ("input_ids", "attention_mask")})
        gates = [torch.ones(1, site.heads, requires_grad=True) for site in setting.heads.sites]
        edits = {i: scaled(gate, None) for i, gate in enumerate(gates)}
        with edited(setting.model.model, setting.heads, edits):
            gradients = torch.autograd.grad(setting.value(one)[0].sum(), gates)
        found.append(torch.cat(gradients).numpy())
    return np.stack(found)


def middling_batch(prepared: Prepared) -> Batch:
    """The batch of median length over all tasks, as scoring cuts them."""
    batches = [[task.encoded[i] for i in b] for task in prepared.tasks for b in task.batches if len(b) == BATCH]
    batches.sort(key=lambda members: len(members[-1].inputs))
    return collate(batches[len(batches) // 2])


def headed(batch: Batch) -> Batch:
    """The batch with the same further tokens behind the first one of every prompt, as instructions would stand."""
    header = torch.arange(HEADER).repeat(batch.size, 1) + 5
    ids = torch.cat([batch.input_ids[:, :1], header, batch.input_ids[:, 1:]], dim=1)
    mask = torch.cat([torch.ones_like(header), batch.attention_mask], dim=1)
    return replace(
        batch,
        input_ids=ids,
        attention_mask=mask,
        prompt=batch.prompt + HEADER,
        position=batch.position + HEADER,
    )


def works_of(prepared: Prepared, batch: Batch, peers: bool) -> Works:
    """Every piece of work by its name."""
    (gradient, ablation), settings = (
        (c.method for c in prepared.methods[:2]),
        [prepared.setting(chosen) for chosen in prepared.methods],
    )
    assert gradient.score is not None
    assert ablation.score is not None
    score, ablate = gradient.score, ablation.score
    works: Works = {
        "forward": lambda: plain_forward(settings[0], batch),
        "forward + backward": lambda: plain_backward(settings[0], batch),
        "gate_gradient": lambda: score(settings[0], batch),
        "gradients, batches of one": lambda: one_by_one(settings[0], batch),
        "zero_ablation": lambda: ablate(settings[1], batch),
    }
    plain = replace(prepared.model, shortcuts=replace(prepared.model.shortcuts, prefixes=False))
    longer, each = headed(batch), replace(settings[1], model=plain)
    works |= {ONCE: lambda: ablate(settings[1], longer), EACH: lambda: ablate(each, longer)}
    for name in PEERS if peers else PEERS[:1]:
        tool = importlib.import_module(f"benchmarks.peers.{name}")
        for matched in (False, True):
            label = f"{name}, logits matched" if matched else name
            works[label] = tool.losses(prepared.model.model, batch, matched)
    return works


def checked(prepared: Prepared, batch: Batch, works: Works) -> dict[str, float]:
    """The greatest difference between each tool's scores and reportgen's; raises where they are not the same."""
    ours = works["zero_ablation"]().values
    value = prepared.setting(prepared.methods[1]).value(batch)[0].numpy()
    found = {
        "gradients, batches of one": np.abs(
            works["gate_gradient"]().values - works["gradients, batches of one"]()
        ).max(),
        ONCE: np.abs(works[ONCE]().values - works[EACH]().values).max(),
    }
    for name, work in works.items():
        if name.partition(",")[0] in PEERS:
            found[name] = np.abs(value[:, None, None] - work().permute(2, 0, 1).numpy() - ours).max()
    for name, difference in found.items():
        if not difference < 1e-4:
            raise SystemExit(f"{name} and reportgen differ by {difference}: nothing is compared")
    return {name: float(difference) for name, difference in found.items()}


def of_heads(config: Any, tokens: float, answers: float) -> list[float]:
    """Multiplications of a run without a head of each layer, in plain forwards, for examples of so many tokens."""
    layers = config.num_hidden_layers
    d, kv = config.hidden_size, config.num_key_value_heads * config.head_dim
    scores = 2 * d * (tokens + 1) / 2  # of a token with those before it: products and their use
    rest = d * d + 3 * d * config.intermediate_size
    layer, last = (2 * d * kv + d * d + scores + rest) * tokens, 2 * d * kv * tokens + (d * d + scores + rest) * answers
    logits = d * config.vocab_size * answers
    of_head = [rest * tokens + (layers - 2 - i) * layer + last for i in range(layers - 1)] + [rest * answers]
    return [(one + logits) / (layers * layer + logits) for one in of_head]


def floor(config: Any, batch: Batch) -> tuple[float, float]:
    """Multiplications of exact ablation of all heads, in plain forwards; and those of all that the result holds."""
    of_head = of_heads(config, batch.input_ids.shape[1], len(batch.target) / batch.size)
    each = config.num_attention_heads * sum(of_head)
    # of the lowest layer's attention nothing else is put out where all heads are lost, so that none of it need run
    return each, each + 1 + of_head[0]


def square(folder: Path) -> None:
    """A random Llama of 12 × 12 heads, with the sample's tokenizer."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "sample_data" / "model")
    config = LlamaConfig(
        vocab_size=8192,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=12,
        head_dim=16,
        num_attention_heads=12,
        num_key_value_heads=12,
        max_position_embeddings=128,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def prepared_on(model: Path) -> Prepared:
    return prepare(
        Study(
            model=ModelSection(path=str(model)),
            tasks=TasksSection(path=ROOT / "sample_data" / "tasks.jsonl"),
            scoring=ScoringSection(also=["zero_ablation"], batch_size=BATCH),
        )
    )


def peak(model: Path, name: str, peers: bool) -> int:
    """Bytes by which a work, run twice, raises the peak of a process of its own above what it held before."""
    command = [sys.executable, __file__, str(model), "--only", name, *(["--peers"] if peers else [])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def resident_peak() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def ratios(seconds: dict[str, float], least: tuple[float, float]) -> dict[str, float]:
    """What the targets are about; where no peers are, the plain loop stands for them."""
    tools = {name: s for name, s in seconds.items() if name.partition(",")[0] in PEERS}
    ablation = seconds["zero_ablation"]
    return {
        "gate_gradient / forward + backward": seconds["gate_gradient"] / seconds["forward + backward"],
        "gradients, batches of one / gate_gradient": seconds["gradients, batches of one"] / seconds["gate_gradient"],
        "zero_ablation / its floor": ablation / (least[1] * seconds["forward"]),
        "zero_ablation / the heads' part of its floor": ablation / (least[0] * seconds["forward"]),
        "a header of 64 tokens run for each example / once": seconds[EACH] / seconds[ONCE],
        "best peer / zero_ablation": min(s for name, s in tools.items() if "," not in name) / ablation,
        "best peer, logits matched / zero_ablation": min(s for n, s in tools.items() if "," in n) / ablation,
    }


def main() -> None:
    """Measure, print tables and write benchmarks/results/scoring-<model>.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="sample", help="sample, square (random 12 x 12), or a folder")
    parser.add_argument("--peers", action="store_true", help="other tools too, not plain hooks alone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="print this work's peak memory")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        folder = {"sample": ROOT / "sample_data" / "model", "square": Path(made)}.get(given.model, Path(given.model))
        if given.model == "square":
            square(folder)
        prepared = prepared_on(folder)
        batch = middling_batch(prepared)
        works = works_of(prepared, batch, given.peers)
        if given.only:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins at what is held now
            before = resident_peak()
            works[given.only](), works[given.only]()
            print(resident_peak() - before)
            return
        result = measured(prepared, batch, works, given.rounds)
        result["peak_bytes"] = {name: peak(folder, name, given.peers) for name in works if "," not in name}
    target = ROOT / "benchmarks" / "results" / f"scoring-{Path(given.model).name}.json"
    target.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    told(result)


def measured(prepared: Prepared, batch: Batch, works: Works, rounds: int) -> dict[str, Any]:
    """Differences first, then times and their ratios."""
    import transformers

    sites = prepared.model.heads.sites
    differences, seconds = checked(prepared, batch, works), median_cpu(works, rounds)
    least = floor(prepared.model.model.config, batch)
    shape = {
        "layers": len(sites),
        "heads": sum(site.heads for site in sites),
        "examples": batch.size,
        "tokens": batch.input_ids.shape[1],
        "answer_tokens": len(batch.target),
        "rounds": rounds,
    }
    versions = {"torch": str(torch.__version__), "transformers": transformers.__version__}
    return {
        "shape": shape,
        "greatest_difference": differences,
        "cpu_seconds": seconds,
        "floor_in_forwards": least,
        "ratios": ratios(seconds, least),
        "targets": TARGETS,
        "versions": versions,
    }


def told(result: dict[str, Any]) -> None:
    for name, seconds in result["cpu_seconds"].items():
        peak_mib = f"{result['peak_bytes'][name] / 2**20:8.1f} MiB" if name in result["peak_bytes"] else ""
        print(f"{name:44} {1000 * seconds:9.1f} ms {peak_mib}")
    for name, value in result["ratios"].items():
        print(f"{name:44} {value:9.2f}    (target {' '.join(map(str, TARGETS[name]))})")


if __name__ == "__main__":
    main()
