"""What is to be known beside a finding: a code in findings.json and its sentence. Here stand those that kinds share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caveat:
    """A limit of findings: the ``code`` that they carry, and what it means."""

    code: str
    text: str


IN_SAMPLE = Caveat(
    "in-sample", "The values come from the numbers that the finding was found in, so they are likely too large."
)
ABSOLUTE = Caveat(
    "absolute",
    "Scores have signs; what is found goes by their size. Single heads are printed with their sign.",
)
HEAD_ORDER = Caveat(
    "head-order", "Head numbers carry no meaning: with its heads in another order a layer computes the same."
)
EDGES = Caveat("edges", "The test is about the existence of the region, not about its exact edges.")
TAIL_MODEL = Caveat("tail-model", "The p-value depends on a model of the background's tail.")
KV_UNKNOWN = Caveat(
    "kv-unknown",
    "Which heads share keys and values cannot be told from these scores, so heads were shuffled in runs of every "
    "length that they do not exclude as well. State kv_groups: knowing it makes the tests stronger.",
)
KV_UNTIED = Caveat(
    "kv-untied",
    "Which heads share keys and values is not known. The scores exclude that runs of adjacent heads resemble each "
    "other by a correlation of .05 or more.",
)
KV_ESTIMATED = Caveat(
    "kv-estimated",
    "Which heads share keys and values is not known. Adjacent heads are tied in runs of one length, as "
    "where they share them, so runs took the place of heads.",
)
ON_TIES = (KV_UNKNOWN, KV_UNTIED, KV_ESTIMATED)  # of tests that shuffle heads
AUTOCORRELATION = Caveat(
    "autocorrelation", "Neighbouring layers resemble each other; the null keeps this only to first order."
)
MAYBE_GENERIC = Caveat(
    "maybe-generic", "Without a control task, heads that matter for any text cannot be told from shared ones."
)
AT_CHANCE = Caveat("at-chance", "The model does not do this task better than chance, so importance on it means little.")
SHARED = (
    IN_SAMPLE,
    ABSOLUTE,
    HEAD_ORDER,
    EDGES,
    TAIL_MODEL,
    *ON_TIES,
    AUTOCORRELATION,
    MAYBE_GENERIC,
)
