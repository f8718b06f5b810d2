"""The method retrieval on needle prompts against a plain reimplementation that shares no code with it.

``python benchmarks/known/retrieval.py MODEL`` prints both scores' correlation and the first heads by each. The plain
one asks transformers for the attention weights of its eager code, one prompt at a time.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from reportgen.core.config_file import parse_study
from reportgen.scoring.data.batches import collate
from reportgen.scoring.methods.common.method import METHODS
from reportgen.scoring.run.prepare import prepare

ROWS, LENGTH, FIRST = 16, 128, 8


def plain(folder: str, rows: list[tuple[str, str]]) -> np.ndarray:
    """The share of answers that each head's most attended token is, (layer, head)."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    counts = None
    for prompt, answer in rows:
        ids, target = tokenizer(prompt)["input_ids"], tokenizer(f"{prompt} {answer}")["input_ids"][-1]
        with torch.no_grad():
            weights = model(torch.tensor([ids]), output_attentions=True).attentions
        hits = np.array([[ids[int(head[-1].argmax())] == target for head in layer[0]] for layer in weights], float)
        counts = hits if counts is None else counts + hits
    return counts / len(rows)


def main(folder: str) -> None:
    tasks = {"suite": "needle", "lengths": [LENGTH], "limit": ROWS}
    prepared = prepare(parse_study({"model": {"path": folder}, "tasks": tasks}, "study.toml", Path.cwd()))
    (task,) = prepared.tasks
    method = METHODS.get("retrieval", "")
    chosen = prepared.methods[0]
    setting = prepared.setting(chosen)
    ours = np.concatenate([method.score(setting, collate([e])).values for e in task.encoded]).mean(axis=0)
    theirs = plain(folder, [(row.prompt, row.answer) for row in task.rows])
    agreement = np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]
    print(f"{ROWS} needles in {LENGTH} tokens, {ours.size} heads: correlation {agreement:.4f}")
    print(f"greatest difference {np.abs(ours - theirs).max():.4f}; heads above .1: {(ours > 0.1).sum()}")
    for name, scores in (("retrieval", ours), ("plain", theirs)):
        first = [divmod(int(i), ours.shape[1]) for i in np.argsort(-scores, axis=None, kind="stable")[:FIRST]]
        print(f"{name}: {', '.join(f'L{layer}H{head} {scores[layer, head]:.2f}' for layer, head in first)}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1])
