"""What scoring costs, by arithmetic and by the clock: ``python benchmarks/cost.py``.

The arithmetic: a plain forward of a token takes two operations for each weight that it meets, and a method so many
forwards (``ScoringMethod.forwards``). It is checked here on a random Llama of 4 × 4 heads: the forward against the rate
at which this machine multiplies matrices, and every method against its number of forwards, in CPU time of one thread.
Then it is carried over to 32 × 32 heads, 8 billion weights, 1,000 examples on one GPU, which nobody measured here.
Writes benchmarks/results/cost.json.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import transformers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from reportgen.core.config import Study
from reportgen.scoring.methods.common.method import METHODS
from reportgen.scoring.run.prepare import prepare
from reportgen.scoring.run.shards import shards_of
from reportgen.scoring.run.worker import Worker

ROOT = Path(__file__).resolve().parents[1]
ROWS, WORDS = 32, 60
SMALL = {
    "hidden_size": 256,
    "intermediate_size": 896,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
}
LARGE = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
EXAMPLES, TOKENS = 1000, 100
GPU = 989e12 * 0.4  # an H100's dense bf16 peak by its data sheet, of which large matrix products reach some 40 %


def operations(size: dict[str, int], tokens: int) -> float:
    """Floating-point operations of one token's plain forward, without the vocabulary, in a text of so many tokens."""
    width, keys = size["hidden_size"], size["num_key_value_heads"] / size["num_attention_heads"]
    weights = width * width * (2 + 2 * keys) + 3 * width * size["intermediate_size"]
    return size["num_hidden_layers"] * (2 * weights + 4 * tokens * width)


def study(folder: Path) -> Study:
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "sample_data" / "model")
    torch.manual_seed(0)
    config = LlamaConfig(**SMALL, vocab_size=len(tokenizer), max_position_embeddings=128, initializer_range=0.1)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    words, rng = sorted(word for word in tokenizer.get_vocab() if word.isalpha()), np.random.default_rng(0)
    rows = []
    for n in range(2 * ROWS):
        answer, foil = rng.choice(words, 2, replace=False)
        prompt, corrupted = (" ".join(rng.choice(words, WORDS)) for _ in range(2))
        rows.append(
            {
                "task": f"task {n % 2}",
                "id": str(n),
                "prompt": prompt,
                "corrupted": corrupted,
                "answer": answer,
                "foil": foil,
            }
        )
    (folder / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = [method.name for method in METHODS.own() if method.together is None]
    return Study.model_validate(
        {
            "model": {"path": str(folder)},
            "tasks": {"path": str(folder / "tasks.jsonl")},
            "scoring": {"method": names[0], "also": names[1:], "batch_size": 32},
        }
    )


def seconds(run: Callable[[], Any], times: int = 3) -> float:
    measured = []
    for _ in range(times):
        start = time.process_time()
        run()
        measured.append(time.process_time() - start)
    return statistics.median(measured)


def products_a_second(width: int, rows: int) -> float:
    """Operations a second of matrix products of the forward's size, one thread."""
    a, b = torch.randn(rows, width), torch.randn(width, 4 * width)
    a @ b
    return 2 * rows * width * 4 * width * 20 / seconds(lambda: [a @ b for _ in range(20)])


def main() -> None:
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(study(Path(folder)))
        worker, shards = Worker(prepared), shards_of(prepared)
        batches = [worker._batch(task, batch) for task in prepared.tasks for batch in task.batches]
        tokens = sum(batch.input_ids.numel() for batch in batches)
        with torch.no_grad():
            plain = seconds(lambda: [prepared.model.answer_logits(batch) for batch in batches], 7)
        rate = products_a_second(SMALL["hidden_size"], batches[0].input_ids.numel())
        expected = tokens * operations(SMALL, batches[0].input_ids.shape[1]) / rate
        print(
            f"plain forward of {tokens} tokens: {plain:.3f} s, by arithmetic {expected:.3f} s "
            f"at {rate / 1e9:.0f} GFLOP/s of matrix products"
        )
        large = SimpleNamespace(sites=[SimpleNamespace(heads=32)] * 32, widest=32)
        once = EXAMPLES * TOKENS * operations(LARGE, TOKENS) / GPU
        rows = {}
        for chosen in prepared.methods:
            mine, method = [shard for shard in shards if shard.method == chosen.method.name], chosen.method
            took = seconds(lambda mine=mine: [worker.score(shard, lambda _: None) for shard in mine], 1) / plain
            said = method.forwards(prepared.model.heads, chosen.parameters)
            on_large = method.forwards(large, chosen.parameters)
            rows[method.name] = {
                "measured": round(took, 2),
                "stated": round(said, 2),
                "forwards_32x32": on_large,
                "gpu_s_32x32": round(on_large * once, 1),
            }
            print(
                f"{method.name:26} {took:8.1f} forwards, stated {said:8.1f}   32 × 32: {on_large:8.0f} forwards, "
                f"{on_large * once / 3600:7.2f} h"
            )
    total = sum(row["gpu_s_32x32"] for row in rows.values()) / 3600
    print(f"one forward of {EXAMPLES} × {TOKENS} tokens through 32 × 32 heads: {once:.2f} s; all: {total:.1f} h")
    content = {
        "plain_s": plain,
        "expected_s": expected,
        "gflops": rate / 1e9,
        "methods": rows,
        "forward_32x32_s": once,
        "total_h": total,
        "torch": torch.__version__,
    }
    (ROOT / "benchmarks" / "results" / "cost.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
