"""What methods that read attention hold in memory: ``python benchmarks/attention_memory.py [METHOD ...]``.

A random Llama of 32 layers of 32 heads, width 512, scores one example of 8,192 tokens by each method, in a process of
its own whose greatest resident memory the operating system tells. Beyond the weights counts all of it that is not
them: the interpreter and its libraries, and what the model's own forward holds, which ``a plain run`` has alone.
Holding every pattern, as float32, would take 32 · 32 · 8192² · 4 bytes = 275 GB.

``short prompts`` are seconds of process CPU time of a batch of 32 examples of 32 tokens on a model of 6 layers of 8
heads, width 256, as a multiple of a plain run.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from reportgen.core.config import ModelSection, ScoringSection, Study, TasksSection  # noqa: E402
from reportgen.scoring.data.batches import Batch  # noqa: E402
from reportgen.scoring.run.prepare import Prepared, prepare  # noqa: E402

PLAIN = "a plain run"
METHODS: dict[str, dict[str, Any]] = {
    "retrieval": {},
    "induction": {"source": "prompt"},  # of the row's own text, whose length is asked about
    "previous_token": {},
}
LONG = {"layers": 32, "heads": 32, "width": 512, "tokens": 8192, "examples": 1}
SHORT = {"layers": 6, "heads": 8, "width": 256, "tokens": 32, "examples": 32}
LIMIT = 2e9
RESULTS = ROOT / "benchmarks" / "results" / "attention-memory.json"
WORDS = 1000
ROUNDS, CALLS = 9, 5


def study_in(folder: Path, size: dict[str, int]) -> Study:
    """Write a random model and examples of so many tokens, and the study that scores them."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=WORDS + 2,
        hidden_size=size["width"],
        intermediate_size=4 * size["width"],
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        num_key_value_heads=size["heads"],
        max_position_embeddings=size["tokens"] + 1,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    words = ["<pad>", "<unk>", *(f"w{i}" for i in range(WORDS))]
    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)
    rng = np.random.default_rng(0)
    with (folder / "tasks.jsonl").open("w") as file:
        for i in range(size["examples"]):
            drawn = [f"w{n}" for n in rng.integers(WORDS, size=size["tokens"])]
            prompt, answer = " ".join(drawn[:-1]), " ".join([*drawn[:1], *drawn[-1:]])  # its last token is not read
            file.write(json.dumps({"task": "t", "id": str(i), "prompt": prompt, "answer": answer}) + "\n")
    parameters = {name: own for name, own in METHODS.items() if own}
    first, *others = METHODS
    return Study(
        model=ModelSection(path=str(folder)),
        tasks=TasksSection(path=folder / "tasks.jsonl"),
        scoring=ScoringSection(method=first, also=others, parameters=parameters, metric="log_probability"),
    )


def work_of(prepared: Prepared, name: str) -> Callable[[Batch], object]:
    """Return what scores a batch by a method, or runs the model on it and no more."""
    if name == PLAIN:
        return torch.no_grad()(prepared.model.answer_logits)
    (chosen,) = (c for c in prepared.methods if c.method.name == name)
    assert chosen.method.score is not None
    score, setting = chosen.method.score, prepared.setting(chosen)
    return lambda batch: score(setting, batch)


def peak(name: str, tokens: int) -> dict[str, float]:
    """Score the long example in this process; return its greatest resident memory, what the weights take of it, and
    seconds of processor time.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(study_in(Path(folder), {**LONG, "tokens": tokens}))
    batch, work = prepared.model.collated(prepared.tasks[0].encoded), work_of(prepared, name)
    weights = sum(p.numel() * p.element_size() for p in prepared.model.model.parameters())
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, time.process_time()
    work(batch)
    greatest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux tells kibibytes
    return {
        "tokens": batch.input_ids.shape[1],
        "peak_bytes": greatest,
        "before_bytes": before,
        "weights_bytes": weights,
        "beyond_weights_bytes": greatest - weights,
        "cpu_seconds": time.process_time() - start,
    }


def short_prompts() -> dict[str, float]:
    """Return seconds of processor time of each work on a batch of short prompts: the median of rounds, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(study_in(Path(folder), SHORT))
    batch = prepared.model.collated(prepared.tasks[0].encoded)
    works, times = {name: work_of(prepared, name) for name in (PLAIN, *METHODS)}, dict[str, list[float]]()
    for _ in range(ROUNDS):
        for name, work in works.items():
            start = time.process_time()
            for _ in range(CALLS):
                work(batch)
            times.setdefault(name, []).append((time.process_time() - start) / CALLS)
    return {name: statistics.median(seconds[1:]) for name, seconds in times.items()}


def write(measured: dict[str, Any], tokens: int) -> None:
    """Put what was measured of the long example, or beside it, into the file of results, and leave the rest there."""
    if tokens == LONG["tokens"]:
        known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"works": {}}
        works = {**known["works"], **measured.get("works", {})}
        result = {**known, **measured, "shape": LONG, "limit_bytes": LIMIT, "works": works}
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def main() -> None:
    """Measure, print, and write benchmarks/results/attention-memory.json; fails where the limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="*", default=[PLAIN, *METHODS], help="methods, or 'a plain run'")
    parser.add_argument("--tokens", type=int, default=LONG["tokens"])
    parser.add_argument("--only", help="measure this work in this process")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.only:
        print(json.dumps(peak(given.only, given.tokens)))
        return
    found: dict[str, Any] = {}
    for name in given.works:
        command = [sys.executable, __file__, "--only", name, "--tokens", str(given.tokens)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
        write({"works": found}, given.tokens)
        print(f"{name:16} {found[name]['beyond_weights_bytes'] / 1e9:6.2f} GB  {found[name]['cpu_seconds']:7.1f} s")
    seconds = short_prompts()
    for name, each in seconds.items():
        print(f"{name:16} {1000 * each:6.1f} ms  {each / seconds[PLAIN]:5.2f} plain runs of short prompts")
    write({"short_prompts": {"shape": SHORT, "cpu_seconds": seconds}}, given.tokens)
    above = [name for name, one in found.items() if one["beyond_weights_bytes"] > LIMIT]
    if above:
        raise SystemExit(f"more than {LIMIT / 1e9:g} GB beyond the weights: {', '.join(above)}")


if __name__ == "__main__":
    main()
