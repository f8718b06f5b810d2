"""What a probe must be held against: how well simpler things separate the tasks, in the same folds.

Logistic regressions on the length of a row and its position in a chain, on its words, and on its input embeddings; and
the control task of Hewitt & Liang 2019 (arXiv 1909.03368): the same probe on labels shuffled between groups.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import logsumexp, softmax

from reportgen.scoring.data.batches import Encoded

# From where all weights are held near 0 to where rows are separated as well as words allow; the one that is most often
# right on rows of other groups is taken, so that no baseline is weak for want of a fitting penalty
PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
LAST_NUMBER = 12  # sub-questions further on in their chain count as one
Inputs: TypeAlias = Float[np.ndarray, "example feature"] | csr_matrix
# by name: the task predicted for each example, and the one it should have been
Guesses = Mapping[str, tuple[Int[np.ndarray, "example"], Int[np.ndarray, "example"]]]


def length_and_number(examples: Sequence[Encoded]) -> Float[np.ndarray, "example feature"]:
    """Return the logarithms of tokens read and of the answer's characters, their squares, and the row's position.

    That position in a chain is the number behind the group in ids such as CogQA's, ``group.number``; none for others.
    """
    lengths = np.log1p([[len(e.inputs) + len(e.decoder or ()), len(e.row.answer)] for e in examples])
    lengths = (lengths - lengths.mean(axis=0)) / np.where(np.ptp(lengths, axis=0) > 0, lengths.std(axis=0), 1.0)
    number = np.array([_number(e) for e in examples])
    numbers = (number[:, None] == np.arange(LAST_NUMBER + 1)).astype(np.float64)
    return np.hstack([lengths, lengths**2, numbers])


def _number(example: Encoded) -> int:
    found = re.fullmatch(r"\.(\d+)", example.row.id.removeprefix(example.row.group))
    return -1 if found is None else min(int(found[1]), LAST_NUMBER)


def bag_of_words(examples: Sequence[Encoded]) -> csr_matrix:
    """Return log(1 + count) of every token id that an example's model reads, each row of length 1."""
    read = [np.array([*e.inputs, *(e.decoder or ())]) for e in examples]
    owner = np.repeat(np.arange(len(read)), [len(ids) for ids in read])
    _, column = np.unique(np.concatenate(read), return_inverse=True)
    counts = csr_matrix((np.ones(len(owner)), (owner, column)))
    counts.data = np.log1p(counts.data)
    norms = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    return csr_matrix(counts.multiply(1 / norms[:, None]))


def standardised(x: Float[np.ndarray, "example feature"]) -> Float[np.ndarray, "example feature"]:
    """Scale features to mean 0 and standard deviation 1 (0 where one does not vary); labels play no part in it."""
    wide = x.astype(np.float64)
    spread = wide.std(axis=0)
    result: np.ndarray = (wide - wide.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return result


def separated(
    x: Inputs, labels: Int[np.ndarray, "example"], fold: Int[np.ndarray, "example"]
) -> Int[np.ndarray, "example"]:
    """Predict each example's task by a logistic regression on the other folds.

    Its penalty is the one of PENALTIES that is most often right on the next fold, from a fit to all the rest.
    """
    predicted, classes = np.empty_like(labels), int(labels.max()) + 1
    for number in range(int(fold.max()) + 1):
        inner = fold == (number + 1) % (int(fold.max()) + 1)
        fit, outside = (fold != number) & ~inner, fold != number
        paths = path(x[fit], labels[fit], classes)
        right = [np.mean(_predict(x[inner], weights) == labels[inner]) for weights in paths]
        best = int(np.argmax(right))
        predicted[fold == number] = _predict(x[fold == number], path(x[outside], labels[outside], classes, best)[-1])
    return predicted


def path(
    x: Inputs, labels: np.ndarray, classes: int, last: int = len(PENALTIES) - 1, *, balanced: bool = False
) -> list[np.ndarray]:
    """Fit logistic regressions at each penalty up to the ``last``, each begun at the one before.

    Return their weights (feature and intercept, class). ``balanced``: all classes count alike, however many rows they
    have.
    """
    counts = np.bincount(labels, minlength=classes)
    wanted, shares = np.eye(classes)[labels], np.ones(len(labels))
    if balanced:
        shares = len(labels) / (np.count_nonzero(counts) * counts[labels])
    weights = np.zeros((x.shape[1] + 1, classes))
    found = []
    for penalty in PENALTIES[: last + 1]:

        def loss(flat: np.ndarray, penalty: float = penalty) -> tuple[float, np.ndarray]:
            w = flat.reshape(-1, classes)
            scores = x @ w[:-1] + w[-1]
            value = float(np.mean(shares * (logsumexp(scores, axis=1) - (scores * wanted).sum(axis=1))))
            slope = shares[:, None] * (softmax(scores, axis=1) - wanted) / len(labels)
            gradient = np.vstack([x.T @ slope + penalty * w[:-1], slope.sum(axis=0)])
            return value + penalty / 2 * float((w[:-1] ** 2).sum()), gradient.ravel()

        result = minimize(loss, weights.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 100, "ftol": 1e-7})
        weights = result.x.reshape(-1, classes)
        found.append(weights)
    return found


def _predict(x: Inputs, weights: np.ndarray) -> np.ndarray:
    best: np.ndarray = np.argmax(x @ weights[:-1] + weights[-1], axis=1)
    return best


def shuffled_between_groups(
    labels: Int[np.ndarray, "example"], groups: Sequence[str], seed: int
) -> Int[np.ndarray, "example"]:
    """Deal the labels of whole groups to the rows of other groups, in a random order within each: a control task.

    Each task keeps its number of rows, and rows of one group mostly get labels that stood together.
    """
    random = np.random.default_rng([seed, 1])
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    rows = [np.flatnonzero(member == number) for number in range(len(names))]
    dealt = np.concatenate([random.permutation(labels[rows[number]]) for number in random.permutation(len(names))])
    result = np.empty_like(labels)
    result[np.concatenate(rows)] = dealt
    return result


def recalls(guesses: Guesses, names: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Return by task the share of its rows among all (what guessing recalls), and of its rows that each guess finds."""
    first = next(iter(guesses.values()))[1]
    table: dict[str, dict[str, float | None]] = {
        "share of rows": {name: float(np.mean(first == task)) for task, name in enumerate(names)}
    }
    for guess, (predicted, labels) in guesses.items():
        table[f"recall: {guess}"] = {
            name: float(np.mean(predicted[labels == task] == task)) for task, name in enumerate(names)
        }
    table["selectivity"] = {
        name: float(table["recall: probe"][name] or 0) - float(table["recall: shuffled labels"][name] or 0)
        for name in names
    }
    return table


def compared(guesses: Guesses, groups: Sequence[str]) -> dict[str, dict[str, float]]:
    """Compare guesses over all rows: accuracy and balanced accuracy (mean recall) of each.

    Beside them stand always guessing the commonest task and guessing one at random; and how much more accurate the
    probe is than each other guess, with the standard error of that. Rows of one group are not independent: the error is
    that of a sum over groups. Beside shuffled labels the difference is Hewitt & Liang's selectivity; it is of other
    labels, and has no error here.
    """
    predicted, labels = guesses["probe"]
    tasks = len(set(labels))
    accuracy = {"always the commonest task": float(np.bincount(labels).max() / len(labels)), "at random": 1 / tasks}
    balanced = dict.fromkeys(accuracy, 1 / tasks)
    more, error = dict[str, float](), dict[str, float]()
    member = np.unique(np.asarray(groups), return_inverse=True)[1]
    for guess, (other, wanted) in guesses.items():
        right = other == wanted
        accuracy[guess] = float(right.mean())
        balanced[guess] = float(np.mean([right[wanted == task].mean() for task in set(wanted)]))
        if guess == "probe":
            continue
        gain = (predicted == labels).astype(np.float64) - right
        more[guess] = float(gain.mean())
        if wanted is labels:
            by_group = np.bincount(member, gain - gain.mean())
            error[guess] = float(np.sqrt((by_group**2).sum()) / len(labels))
    return {"accuracy": accuracy, "balanced accuracy": balanced, "probe minus it": more, "standard error": error}
