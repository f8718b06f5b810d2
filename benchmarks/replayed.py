"""What a race can save, by arithmetic: ``python benchmarks/replayed.py [--orders 20] [--planted] [--kept FILE]``.

The sample model's heads are ablated on every example once (the effects are kept, where a file is named); then races are
replayed on these effects in so many random orders, and their work is counted in multiplications, in plain forwards: the
unchanged model on every example, the gradient on the fixed ones, and every ablation, by the floor of
benchmarks/scoring.py. A loop of hooks takes a whole forward for every head and example. Beside the race stand one whose
top heads are scored on every example, and what no rule can undercut: all heads on the fixed examples, and an oracle's
top heads on all examples, or on no more. The measured race takes longer by what small batches and hooks cost.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.scoring import of_heads, prepared_on  # noqa: E402
from reportgen.scoring.run.prepare import Prepared  # noqa: E402
from reportgen.scoring.run.race import FIXED, TIE, race  # noqa: E402
from reportgen.scoring.run.shards import shards_of  # noqa: E402
from reportgen.scoring.run.worker import Worker  # noqa: E402

GRADIENT = 2.12  # forwards of gate_gradient
Share = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of each head, by effects and an order, how many examples


def effects_of(prepared: Prepared) -> dict[str, np.ndarray]:
    """|effect| of each task, (example, head) in file order."""
    worker, found = Worker(prepared), dict[str, np.ndarray]()
    for shard in shards_of(prepared):
        if shard.method == "zero_ablation" and shard.task is not None:
            task, scores = prepared.tasks[shard.task], worker.score(shard, lambda _: None)
            into = found.setdefault(task.name, np.empty((len(task.rows), scores.values[0].size)))
            into[[i for batch in shard.batches for i in batch]] = np.abs(scores.values.reshape(len(scores.values), -1))
    return found


def raced(top: int, exact: bool, wrong: list[str]) -> Share:
    """What a race takes; ``wrong`` counts those that missed a top head which they did not name as tied."""

    def share(effects: np.ndarray, order: np.ndarray) -> np.ndarray:
        taken = np.zeros(effects.shape[1])

        def ablate(some: np.ndarray, alive: np.ndarray) -> np.ndarray:
            taken[alive] += len(some)
            return effects[np.ix_(some, alive)]

        found, mean = race(order, effects.shape[1], top, 0.95, ablate, exact=exact), effects.mean(axis=0)
        true = np.argsort(-mean)[:top]
        far = mean[list(found.best)].min() < (1 - TIE) * mean[true[-1]]
        if far or not set(true.tolist()) <= {*found.best, *found.tied}:
            wrong.append("race")
        return taken

    return share


def oracle(top: int, fixed: int, exact: bool) -> Share:
    """All heads on the fixed examples, and the true top heads on all of them, or not."""

    def share(effects: np.ndarray, _: np.ndarray) -> np.ndarray:
        taken = np.full(effects.shape[1], float(fixed))
        taken[np.argsort(-effects.mean(axis=0))[:top]] = len(effects) if exact else fixed
        return taken

    return share


def planted(orders: int) -> None:
    """The share of races with a wrong top, of populations of effects from tame to rare."""
    draws: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
        "half-normal": lambda rng, shape: np.abs(rng.normal(size=shape)),
        "exponential": lambda rng, shape: rng.exponential(size=shape),
        **{f"log-normal, σ = {s}": lambda rng, shape, s=s: rng.lognormal(0, s, size=shape) for s in (1.0, 1.2, 1.5)},
        "in one example of 10": lambda rng, shape: (rng.random(shape) < 0.1) * rng.exponential(size=shape) + 0.005,
        "in one example of 30": lambda rng, shape: (rng.random(shape) < 0.03) * rng.exponential(size=shape) + 0.001,
        "in one of 100": lambda rng, shape: (rng.random(shape) < 0.01) * rng.exponential(size=shape) + 0.001,
    }
    shapes = {"falling by a fifth": 0.8 ** np.arange(40), "4 a fifth above 36": np.r_[np.full(4, 1.2), np.ones(36)]}
    for name, draw in draws.items():
        for shape, means in shapes.items():
            for n in (220, 1000):
                wrong, taken = list[str](), 0.0
                for seed in range(orders):
                    rng = np.random.default_rng([seed, n])
                    taken += raced(4, False, wrong)(draw(rng, (n, 40)) * means, rng.permutation(n)).mean() / n / orders
                print(
                    f"{name:22} {shape:20} {n:5} examples: {len(wrong) / orders:.3f} wrong, share {taken:.2f}",
                    flush=True,
                )


def main() -> None:
    """Score, replay, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=20)
    parser.add_argument("--planted", action="store_true", help="of populations made up, the share of wrong races")
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "effects-of-the-sample.npz")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.planted:
        planted(given.orders)
        return
    prepared, top = prepared_on(ROOT / "sample_data" / "model"), 6
    if not given.kept.exists():
        np.savez(given.kept, **effects_of(prepared))
    kept, wrong = np.load(given.kept), list[str]()
    rules = {
        "race": raced(top, False, wrong),
        "race, top heads on every example": raced(top, True, wrong),
        f"oracle from {FIXED} examples, top heads on no more": oracle(top, FIXED, False),
        f"oracle from {FIXED} examples, top heads on all": oracle(top, FIXED, True),
        "oracle from no example, top heads on all": oracle(top, 0, True),
    }
    for name, rule in rules.items():
        ratios = []
        for task in prepared.tasks:
            tokens = statistics.mean(len(example.inputs) for example in task.encoded)
            each, effects = of_heads(prepared.model.model.config, tokens, 1.0), kept[task.name]
            orders = [np.random.default_rng(seed).permutation(len(effects)) for seed in range(given.orders)]
            work = np.mean(
                [(rule(effects, order) * np.repeat(each, effects.shape[1] // len(each))).sum() for order in orders]
            ) / len(effects)
            ratios.append((effects.shape[1] + 1) / (1 + GRADIENT * FIXED / len(effects) + work))
        print(f"{name:52} {statistics.median(ratios):5.2f}   {' '.join(f'{ratio:.1f}' for ratio in ratios)}")
    print(f"races that were wrong: {len(wrong)} of {2 * given.orders * len(prepared.tasks)}")


if __name__ == "__main__":
    main()
