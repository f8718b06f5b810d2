"""study.toml: what to score, how to analyse it and what to print."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    PrivateAttr,
    field_validator,
    model_validator,
)

from reportgen.core import venues

HUB = "hf://"  # begins the path of a data set of the hub
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
ASSETS = re.compile(r"(?!(?:figures|tables|templates)(?:/|$))[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*")
TASK_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StudySection(_Section):
    """What the report says of itself."""

    title: str = "Attention-head importance"
    authors: list[str] = []
    notes: str = ""


class ModelSection(_Section):
    """The transformer: a local folder, a GGUF file, or a hub id. ``revision`` is a hub revision.

    ``adapter`` is a PEFT adapter on it, such as LoRA: its folder or hub id. Of an adapter that lies beside the weights,
    true says that it is to be applied to them, false that they hold it already. A ``path`` that is an adapter's folder
    stands for the base model that the adapter names, with the adapter on it.

    ``device_map`` spreads it over several devices in place of ``device``: "auto", "balanced" or "sequential" fill the
    accelerators, then the memory of the machine; or it says where each module goes, ``{"model.layers.0" = "cuda:1",
    "model.layers.1" = "cpu", "lm_head" = "disk"}``. What lies on "disk", or on "cpu" beside an accelerator, is fetched
    whenever it runs.

    ``compile`` has torch.compile compile what stands beside the attentions, such as feed-forward parts and norms.
    """

    path: str
    revision: str | None = None
    adapter: str | bool | None = None
    dtype: Literal["float32", "float64", "bfloat16", "float16"] = "float32"
    device: str = "cpu"
    device_map: Literal["auto", "balanced", "sequential"] | dict[str, str] | None = None
    compile: bool = False

    @model_validator(mode="after")
    def _one_device(self) -> "ModelSection":
        if self.device_map is not None and "device" in self.model_fields_set:
            raise ValueError("device_map stands instead of device; give one of them")
        if self.device_map is not None and self.compile:
            raise ValueError("compile is for a model on one device, not beside device_map; give one of them")
        return self


class TasksSection(_Section):
    """The tasks (none beside [scores]): a task file, a folder of such files, a data set of the hub, or suites.

    ``path`` is a file, a folder or ``hf://owner/name`` (``owner/name`` alone where no such path exists), of which
    ``config``, ``split`` and ``revision`` choose the part and the version. ``columns`` says under which name the data
    hold each column, ``{prompt = "question"}``: others than those are then passed over; ``task_name`` names the task of
    rows without one. ``limit``: examples per task, of its rows' groups in turn; ``groups`` names sets of tasks.
    ``delimiter`` stands between prompt and answer (a space by default, under a chat template nothing).
    ``chat_template`` puts each prompt into the tokenizer's chat template as a user's turn, ``system`` before it as the
    system's. ``shots`` other rows of the task stand, answered, before each prompt, with ``separator`` between them.
    ``truncate`` cuts prompts that exceed the model's context: at the beginning ("left") or in the middle. ``control``
    names the task of neutral text that others are judged against.

    ``format`` is read from a file's suffix but for other tools' tasks: "cogqa", "lm_eval" (a folder or YAML file of
    lm-evaluation-harness in its plain forms) and "eap" (CSV files of EAP-IG and MIB: clean, corrupted, label).

    ``answer_prefix`` begins every answer: what the model reads of it, but is not scored ("The capital is"; a space
    follows). ``chat_template_kwargs`` are values for the chat template, ``{enable_thinking = false}``;
    ``strftime_now`` among them is the day that its clock shows, for it stands still.

    ``suite`` and ``suites`` name tasks that come with reportgen (`reportgen tasks`), instead of a ``path`` or beside
    it; ``lengths`` those of their prompts in tokens, where they can be chosen.

    ``max_length`` is the greatest length in tokens where the tokenizer's own limit, shorter than the model's, is not to
    hold. ``target_language`` is what a translation model answers in, as its tokenizer writes it ("fra_Latn").
    """

    path: Path | str | None = None
    suite: str | None = None
    suites: list[str] = []
    lengths: list[Annotated[int, Field(ge=16)]] = []
    format: Literal["jsonl", "csv", "tsv", "parquet", "cogqa", "lm_eval", "eap"] | None = None
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    columns: dict[str, str] = {}
    task_name: str | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    groups: dict[str, list[str]] = {}
    delimiter: str | None = None
    chat_template: bool = False
    system: str | None = None
    shots: Annotated[int, Field(ge=0)] = 0
    separator: str = "\n\n"
    truncate: Literal["left", "middle"] | None = None
    max_length: Annotated[int, Field(ge=1)] | None = None
    target_language: str | None = None
    control: str | None = None
    answer_prefix: str | None = None
    chat_template_kwargs: dict[str, Any] = {}

    @model_validator(mode="after")
    def _kwargs_need_a_template(self) -> "TasksSection":
        if self.chat_template_kwargs and not self.chat_template:
            raise ValueError("chat_template_kwargs are values of a chat template; give chat_template = true with them")
        return self

    @model_validator(mode="after")
    def _system_needs_a_template(self) -> "TasksSection":
        if self.system is not None and not self.chat_template:
            raise ValueError("system is a turn of a chat; give chat_template = true with it")
        return self

    @model_validator(mode="after")
    def _lengths_of_suites(self) -> "TasksSection":
        if self.lengths and not self.asked:
            raise ValueError("lengths are those of a suite's prompts; give suite with them")
        return self

    @property
    def asked(self) -> list[str]:
        """The names of all suites, each once."""
        return list(dict.fromkeys([*([self.suite] if self.suite is not None else []), *self.suites]))

    @property
    def between(self) -> str:
        """What stands between prompt and answer."""
        if self.delimiter is not None:
            return self.delimiter
        return "" if self.chat_template else " "

    def beside(self, folder: Path) -> "TasksSection":
        """Return the section with its path absolute, from ``folder``, or marked ``hf://`` where it is a hub id."""
        path = self.path
        if path is None or str(path).startswith(HUB):
            return self
        named = isinstance(path, str) and HUB_ID.fullmatch(path) is not None
        hub = named and not (folder / path).exists() and Path(path).suffix.lower() not in TASK_SUFFIXES
        return self.model_copy(update={"path": f"{HUB}{path}" if hub else folder / path})


def _number_or_auto(value: object) -> object:
    """Refuse what is no batch size, in one sentence instead of one for each branch of the union."""
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ValueError('a batch size is a whole number from 1, or "auto"')


class ScoringSection(_Section):
    """How heads are scored. ``also`` lists further methods; ``parameters.<method>`` their settings.

    ``positions`` are those at which a head's output is touched: every one, those of the prompt, those whose logits
    predict an answer token, or the one that predicts the first of them. exact_match is greedy generation.
    ``executor`` says who computes: this process, or the workers of the Ray cluster at ``address`` ("host:port", or
    "auto" for the one this machine belongs to; without it, one is started on this machine). It changes no number.
    ``examples`` = "adaptive" races the heads of each task for its ``top_k`` (a tenth of all) by zero_ or mean_ablation,
    found with probability ``confidence`` but for heads within 5 % of the last; heads known to belong on either side are
    scored no further, with ``exact_top`` only those outside the top. ``batch_size`` = "auto" is found beforehand.
    """

    method: str = "gate_gradient"
    also: list[str] = []
    parameters: dict[str, dict[str, Any]] = {}
    batch_size: Annotated[Annotated[int, Field(ge=1)] | Literal["auto"], BeforeValidator(_number_or_auto)] = 32
    seed: Annotated[int, Field(ge=0)] = 0
    metric: Literal["log_odds", "log_probability", "logit_difference", "exact_match", "class_logit"] = "log_odds"
    positions: Literal["all", "prompt", "answer", "last"] = "all"
    answer_reduction: Literal["sum", "mean"] = "sum"
    executor: Literal["local", "ray"] = "local"
    address: str | None = None
    examples: Literal["all", "adaptive"] = "all"
    top_k: Annotated[int, Field(ge=1)] | None = None
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    exact_top: bool = False

    @model_validator(mode="after")
    def _address_needs_a_cluster(self) -> "ScoringSection":
        if self.address is not None and self.executor != "ray":
            raise ValueError('address is that of a Ray cluster; give executor = "ray" with it')
        return self

    @model_validator(mode="after")
    def _a_race_has_a_top(self) -> "ScoringSection":
        for name in ("top_k", "confidence", "exact_top"):
            changed = getattr(self, name) != type(self).model_fields[name].default  # a dump holds defaults too
            if changed and self.examples != "adaptive":
                raise ValueError(f'{name} is that of a race; give examples = "adaptive" with it')
        return self


class AnalysisSection(_Section):
    """How findings are judged: ``alpha``, which all families of tests share and of which none gets more than half,
    Monte-Carlo ``permutations``, which ``detectors`` (all).

    ``margin``: the share of the effect of ablating all heads that a head's own must stay within to be called inert.
    """

    # The chance of any tested finding where there is nothing to find (docs/decisions/0013-shared-alpha.md).
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.10
    seed: Annotated[int, Field(ge=0)] = 0
    # No p is below 1 / (1 + draws): 4,000 give .00025, and 999 a q of .05 to one test among 50.
    permutations: Annotated[int, Field(ge=999)] = 4000
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.01
    detectors: list[str] | None = None


class ValidationSection(_Section):
    """Whether found heads are knocked out and compared with others of their layers, wherever there is a model.

    ``controls`` is the greatest number of other sets of the same layers that each found set is compared with.
    ``budget`` bounds the work, as a multiple of exact zero ablation of the same study.
    """

    enabled: bool = True
    # A set has to cost more than 95 % of them: of 20 more than 19, and of 399, which tell .95 from .98, than 380.
    controls: Annotated[int, Field(ge=20)] = 399
    budget: Annotated[float, Field(gt=0)] = 2.0


class ReportSection(_Section):
    """What is printed: ``layer_order`` "up" draws layer 0 at the bottom; ``templates`` a folder of overriding ones.

    ``length`` "brief" ends the PDF after its first two pages, which can be read alone; "full" has an appendix follow.
    ``theme`` "paper" sets that in two columns, like a paper's, "archive" in one for reading.
    ``patterns`` shows where named heads look. ``anonymous``, for double-blind review, leaves out authors and paths.
    ``assets`` names a folder of the report for the page's script, style and images, else within the page. ``venue`` is
    a paper's ("neurips", …) or a width in inches, for whose column and text every figure is drawn once more.
    """

    formats: list[Literal["html", "pdf"]] = ["html", "pdf"]
    length: Literal["brief", "full"] = "full"
    theme: Literal["archive", "paper"] = "archive"
    page: Literal["A4", "Letter"] = "A4"
    sections: list[str] | None = None
    interpretation: bool = True
    layer_order: Literal["up", "down"] = "down"
    colormap: Literal["viridis", "cividis", "gray"] = "viridis"
    patterns: bool = True
    templates: Path | None = None
    anonymous: bool = False
    assets: str | None = None
    venue: str | float | None = None

    @field_validator("venue")
    @classmethod
    def _known_venue(cls, venue: str | float | None) -> str | float | None:
        return None if venue in (None, "") else venues.read(venue)

    @field_validator("assets")
    @classmethod
    def _assets_in_the_report(cls, folder: str | None) -> str | None:
        if folder and not ASSETS.fullmatch(folder):
            what = "letters, digits, - and _ (with / between folders), other than figures, tables and templates"
            raise ValueError(f"assets lie in a folder of the report, named in {what}")
        return folder or None


class ScoresSection(_Section):
    """Scores made elsewhere, instead of [model] and [scoring]. ``kv_groups`` is the number of key/value heads.

    ``axis`` says what the first axis of a three-dimensional array is, where the file does not say. ``bounds`` are the
    smallest and the largest value that the scores' unit allows. ``ordered`` says that examples follow each other and
    may depend on their neighbours, or (false) that they do not; without it, that is read from the scores.

    Of tables, ``columns`` says under which name the file holds each column, ``{layer = "lyr"}``, ``separator`` what
    stands between cells, and ``decimal`` the decimal mark; ``key`` is the path to the scores within a larger JSON file,
    "results.heads"; ``index_base`` the number of the first layer and head. Of files that list some heads only,
    ``layers`` and ``heads`` are the model's, and ``rest`` says what is known of the others: that they rank "below", or
    "unknown".
    """

    path: Path
    format: str | None = None
    columns: dict[str, str] = {}
    separator: str | None = None
    decimal: Literal[".", ","] | None = None
    index_base: Literal[0, 1] | None = None
    key: str | None = None
    rest: Literal["below", "unknown"] | None = None
    axis: Literal["task", "example"] | None = None
    layers: Annotated[int, Field(ge=1)] | None = None
    heads: Annotated[int, Field(ge=1)] | None = None
    kv_groups: Annotated[int, Field(ge=1)] | None = None
    ordered: bool | None = None
    method: str | None = None
    signed: bool = False
    unit: str = "importance"
    bounds: tuple[FiniteFloat, FiniteFloat] | None = None
    synthetic: bool = False

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "ScoresSection":
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise ValueError("bounds are [smallest, largest]")
        return self


class Study(_Section):
    """A whole study.toml; ``[scores]`` stands instead of ``[model]`` and ``[scoring]``.

    Relative paths are relative to the file. ``source`` is the file's own text, which the report archives;
    ``model_as_written`` the model's path as it was written.
    """

    study: StudySection = StudySection()
    model: ModelSection | None = None
    tasks: TasksSection = TasksSection()
    scoring: ScoringSection = ScoringSection()
    scores: ScoresSection | None = None
    analysis: AnalysisSection = AnalysisSection()
    validation: ValidationSection = ValidationSection()
    report: ReportSection = ReportSection()
    source: Annotated[str, Field(exclude=True)] = ""
    _model_as_written: str | None = PrivateAttr(default=None)

    @property
    def model_as_written(self) -> str | None:
        """The model's path as the study writes it; of an absolute one, its last two parts."""
        if self._model_as_written is None or not Path(self._model_as_written).is_absolute():
            return self._model_as_written
        return "/".join(("…", *Path(self._model_as_written).parts[-2:]))

    def named_as(self, model: str | None) -> "Study":
        """Return the same study with ``model`` as the path that it was written with."""
        named = self.model_copy()
        named._model_as_written = model
        return named

    @model_validator(mode="after")
    def _one_origin(self) -> "Study":
        if self.scores is None and (self.model is None or not (self.tasks.path or self.tasks.asked)):
            raise ValueError("a study needs [model] path and [tasks] path, or [scores] path")
        if self.scores is not None and self.model is not None:
            raise ValueError("[scores] stands instead of [model]; give one of them")
        if self.scores is not None and "scoring" in self.model_fields_set:
            raise ValueError("[scores] are scored already; [scoring] says how to score a [model]")
        return self
