"""Train the sample study's model and write its task file: ``python sample_data/train.py``, under an hour on two cores.

Everything is seeded. The task file comes out the same everywhere; the weights agree bit for bit only on the same
processor type and library versions.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from task_writers import EXERCISES, WRITERS, Row, TrainingStream, evaluation_rows, vocabulary
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HERE = Path(__file__).resolve().parent
PER_TASK, SEED, STEPS, PER_STEP, RATE = 220, 20261122, 3000, 128, 1e-3
TRAINED = (*WRITERS, *EXERCISES)
IGNORED = -100  # the label that torch's cross entropy leaves out


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word, a beginning-of-sequence token in front."""
    words = ["<pad>", "<bos>", "<eos>", "<unk>", *vocabulary()]
    raw = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", unk_token="<unk>"
    )


def build_model(size: int) -> LlamaForCausalLM:
    """An 8-layer, 8-head Llama of 1.4 million parameters."""
    torch.manual_seed(SEED)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size,
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=8,
            num_attention_heads=8,
            num_key_value_heads=8,
            max_position_embeddings=128,
            tie_word_embeddings=True,
            initializer_range=0.05,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    )


def encode(rows: list[Row], tokenizer: PreTrainedTokenizerFast) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded token ids (rows, tokens) and labels: the answer and the end token, everything else ignored."""
    ids, labels = [], []
    for row in rows:
        prompt = tokenizer(row["prompt"])["input_ids"]
        answer = [*tokenizer(row["answer"], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        ids.append(torch.tensor(prompt + answer))
        labels.append(torch.tensor([IGNORED] * len(prompt) + answer))
    pad = torch.nn.utils.rnn.pad_sequence
    return pad(ids, batch_first=True, padding_value=0), pad(labels, batch_first=True, padding_value=IGNORED)


def answer_logits(
    model: LlamaForCausalLM, ids: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets at the answer positions only."""
    hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
    wanted = labels[:, 1:] != IGNORED
    return model.lm_head(hidden[wanted]), labels[:, 1:][wanted]


def accuracy(model: LlamaForCausalLM, rows: list[Row], tokenizer: PreTrainedTokenizerFast) -> float:
    """Share of rows whose answer tokens are all the argmax (teacher-forced)."""
    ids, labels = encode(rows, tokenizer)
    with torch.no_grad():
        right = model(input_ids=ids).logits[:, :-1].argmax(-1) == labels[:, 1:]
    counted = (labels[:, 1:] != IGNORED) & (labels[:, 1:] != tokenizer.eos_token_id)
    return float((right | ~counted).all(-1).float().mean())


def batches(stream: TrainingStream, difficulty: dict[str, float]) -> Iterator[list[Row]]:
    """Rows of one optimiser step, in two parts by length; harder tasks get more of them."""
    while True:
        total = sum(difficulty.values())
        rows = [r for t in TRAINED for r in (stream.draw(t) for _ in range(round(PER_STEP * difficulty[t] / total)))]
        rows.sort(key=lambda r: len(str(r["prompt"]).split()))
        yield rows


def rate(step: int, steps: int) -> float:
    """Learning-rate factor: linear warm-up, then a cosine to zero."""
    return min(1.0, step / 200) * 0.5 * (1 + math.cos(math.pi * step / steps))


def train(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, held: dict[str, list[Row]], steps: int) -> None:
    """AdamW on answer tokens; the task mix follows each task's error on fresh training rows."""
    stream, probe = TrainingStream(held, SEED), TrainingStream(held, SEED + 1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate(step, steps))
    difficulty, start = dict.fromkeys(TRAINED, 1.0), time.monotonic()
    source = batches(stream, difficulty)
    for step in range(1, steps + 1):
        rows, tokens = next(source), 0
        for part in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            logits, targets = answer_logits(model, *encode(part, tokenizer))
            torch.nn.functional.cross_entropy(logits, targets, reduction="sum").backward()
            tokens += len(targets)
        for parameter in model.parameters():
            parameter.grad /= tokens
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        if step % 100 == 0 or step == steps:
            scores = {t: accuracy(model, [probe.draw(t) for _ in range(128)], tokenizer) for t in TRAINED}
            difficulty.update({t: 0.15 + (1 - score) for t, score in scores.items()})
            shown = " ".join(f"{t.split()[0]} {score:.2f}" for t, score in scores.items())
            print(f"step {step} {time.monotonic() - start:.0f} s  {shown}", flush=True)


def write_tasks(rows: dict[str, list[Row]], path: Path) -> None:
    """The task file: one JSON object a line, without the writers' internal keys and empty fields."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for task, members in rows.items():
            for n, row in enumerate(members):
                kept = {k: v for k, v in row.items() if k != "key" and v is not None}
                identity = {"task": task, "id": f"{task.lower().replace(' ', '-')}-{n:03d}"}
                file.write(json.dumps(identity | kept, ensure_ascii=False) + "\n")


def main() -> None:
    """Write tasks.jsonl and model/, and print each task's accuracy on the held-out rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--tasks-only", action="store_true", help="write the task file and stop")
    arguments = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(2)  # fixed, because the rounding of sums depends on it
    held = evaluation_rows(PER_TASK, SEED)
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_tasks(held, arguments.out / "tasks.jsonl")
    if arguments.tasks_only:
        return
    tokenizer = build_tokenizer()
    model = build_model(len(tokenizer))
    train(model, tokenizer, held, arguments.steps)
    model.eval()
    for task, rows in held.items():
        print(f"{task}: {100 * accuracy(model, rows, tokenizer):.1f} % of {len(rows)} held-out rows")
    model.save_pretrained(arguments.out / "model")
    tokenizer.save_pretrained(arguments.out / "model")


if __name__ == "__main__":
    main()
