"""Read and check all that a study's scoring needs, cheapest first, before any of it is scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from reportgen import __version__
from reportgen.core.config import ModelSection, Study
from reportgen.core.plugins import Plugin
from reportgen.core.scores import HeadScores, refuse_many, split_halves
from reportgen.core.stats import components
from reportgen.core.suites import SUITES
from reportgen.errors import InputError, ReportgenError, nearest
from reportgen.scoring.data.batches import Encoded
from reportgen.scoring.data.chat_templates import DAY, reads_clock
from reportgen.scoring.data.encoding import DOUBLED, WHITE_SPACE, Options, encode
from reportgen.scoring.data.languages import language_token
from reportgen.scoring.data.metrics import LANGUAGE, METRICS, Metric
from reportgen.scoring.data.prompts import prompted
from reportgen.scoring.data.shown import shown
from reportgen.scoring.data.suite_rows import Reader, make_tasks, refuse_empty
from reportgen.scoring.data.suite_rows import chosen as chosen_suites
from reportgen.scoring.data.tasks import Row, TaskFile, read_tasks
from reportgen.scoring.methods import activation_norm
from reportgen.scoring.methods.common.method import (
    ANY,
    METHODS,
    AnyMethod,
    AnySetting,
    MethodParameters,
    MethodSetting,
    read_parameters,
)
from reportgen.scoring.model.loaded import LoadedModel, load
from reportgen.scoring.model.running import Running
from reportgen.scoring.model.trace import embedding_table
from reportgen.scoring.run.agreement import agreeing
from reportgen.scoring.run.batch_size import found_size

SIGNED = "signed"  # a parameter of every method with a sign: importance is the mean, not the mean of |·|
CLOCK_NOTE = (
    f"the chat template reads the clock, which shows {DAY} in every run unless [tasks] chat_template_kwargs give a day"
)
KINDS = {
    "causal": "a causal language model",
    "masked": "a masked language model",
    "seq2seq": "an encoder-decoder",
    "classifier": "a classifier",
    "encoder": "an encoder without a head that predicts anything",
}


@dataclass(frozen=True)
class Chosen:
    """A method of the study with its parameters; ``signed``: importance is the signed mean, as the study asks.

    ``plugin`` is the other package's plug-in that it is (None: it is ours).
    """

    method: AnyMethod
    parameters: MethodParameters
    signed: bool
    plugin: Plugin | None = None

    @property
    def copies(self) -> list[int]:
        """How many copies of a batch the parameters ask to run side by side (0: as many as fill the device)."""
        return [int(n) for name, n in self.parameters.model_dump().items() if name.endswith("_at_once")]


@dataclass(frozen=True)
class PreparedTask:
    """A task's tokenised rows in file order, the indices of each batch's examples, and its discovery half."""

    name: str
    rows: tuple[Row, ...]
    encoded: tuple[Encoded, ...]
    batches: tuple[tuple[int, ...], ...]
    discovery: np.ndarray

    def in_batches(self, size: int, running: Running) -> "PreparedTask":
        """Cut the same anew into batches of this size at most."""
        return replace(self, batches=tuple(tuple(batch) for batch in running.planned(self.encoded, size)))

    def discovery_batches(self) -> list[tuple[int, ...]]:
        """Return the batches, each with the examples of the discovery half alone."""
        halves = (tuple(i for i in batch if self.discovery[i]) for batch in self.batches)
        return [half for half in halves if half]


@dataclass(frozen=True)
class Prepared:
    """All that scoring needs, read and checked: the methods with their parameters, the model and the tasks.

    ``identity`` is what makes the model and its computation the same elsewhere, by name; ``batch_size`` is the study's,
    or the one found for it; ``plugins`` are the methods of other packages that the study asks for, with those that
    failed and so are not among ``methods``.
    """

    study: Study
    methods: tuple[Chosen, ...]
    model: LoadedModel
    tasks: tuple[PreparedTask, ...]
    notes: tuple[str, ...]
    identity: Mapping[str, str]
    batch_size: int
    plugins: tuple[Plugin, ...] = ()

    @property
    def metric(self) -> Metric:
        """The study's metric."""
        return METRICS[self.study.scoring.metric]

    def races(self, chosen: Chosen) -> bool:
        """Whether a method's heads are raced for the top ones."""
        return self.study.scoring.examples == "adaptive" and chosen.method.races

    @property
    def top(self) -> int:
        """How many heads a race is for: ``top_k``, or a tenth of them."""
        heads = sum(site.heads for site in self.model.heads.sites)
        return min(heads, self.study.scoring.top_k or max(1, round(heads / 10)))

    def setting(self, chosen: Chosen, reference: object = None) -> AnySetting:
        """Return what a method works with."""
        scoring = self.study.scoring
        return MethodSetting(
            self.model,
            self.metric,
            scoring.answer_reduction,
            scoring.positions,
            scoring.seed,
            parameters=chosen.parameters,
            reference=reference,
        )

    def in_batches(self, size: int) -> "Prepared":
        """Cut the same anew into batches of this size at most."""
        tasks = tuple(task.in_batches(size, self.model.running) for task in self.tasks)
        return replace(self, tasks=tasks, batch_size=size)

    def portable(self) -> "Prepared":
        """Return the same without the model itself and the methods' code: what another process needs for planning."""
        sites = tuple(replace(site, projection=None) for site in self.model.heads.sites)  # type: ignore[arg-type]
        heads = replace(self.model.heads, sites=sites)
        model = replace(self.model, model=None, tokenizer=None, heads=heads)  # type: ignore[arg-type]
        return replace(self, model=model, methods=())


def prepare(study: Study, batch_size: int | None = None, sharing: int = 1) -> Prepared:
    """Read and check all inputs, cheapest first; raises InputError for the first that cannot be used.

    ``batch_size`` is the one that was found where the study leaves it to be found (None: it is found now); so many
    processes are ``sharing`` this machine's memory.
    """
    if study.model is None or not (study.tasks.path or study.tasks.asked):
        raise InputError("the study names no model to score", "[model]", "Give [model] and [tasks]")
    methods = chosen_methods(study)
    file = read_tasks(study.tasks, answers=any(c.method.kinds != ANY for c in methods))
    if not chosen_suites(study.tasks):
        _refuse_unnamed(study, file)  # it should not wait for the model
    model = _asked_in(study, load(study.model, study.model_as_written))
    _refuse_unfit(study, methods, model)
    options = _options(study, model, methods)
    if study.tasks.asked:
        file = _with_suites(study, file, Reader(model.tokenizer, options, study.tasks))
        _refuse_unnamed(study, file)
    model = _noted(model, file.notes)
    notes = [*file.notes]
    tasks = tuple(_prepare_task(study, model, options, name, rows, notes) for name, rows in file.tasks.items())
    if METRICS[study.scoring.metric].generated is False and any(
        row.answers and not row.choices for t in tasks for row in t.rows
    ):
        notes.append("the column 'answers' (accepted alternatives) is read by the metric exact_match only")
    used = METHODS.used({study.scoring.method, *study.scoring.also}) + SUITES.used(study.tasks.asked)
    prepared = Prepared(study, methods, model, tasks, tuple(notes), {}, 0, used)
    for chosen in methods:
        prepared = _checked(prepared, chosen)
    return _agreed(prepared, study.model, _batch_size(prepared, batch_size, sharing))


def _with_suites(study: Study, file: TaskFile, reader: Reader) -> TaskFile:
    """Return the tasks of the study's file, then those of its suites; raises InputError where both have one."""
    made = make_tasks(study.tasks, study.scoring.seed, reader)
    for task in made.tasks:
        if task in file.tasks:
            raise InputError(f"the task file has a task {task!r} too", "[tasks] suites", "Rename it in the task file")
    tasks = {**file.tasks, **made.tasks}
    refuse_many(len(tasks), "[tasks]")
    found = TaskFile(tasks, (*file.notes, *made.notes), made.left_out)
    refuse_empty(found)
    return found


def _refuse_unnamed(study: Study, file: TaskFile) -> None:
    """Raise InputError for groups of tasks that there are not, and for such a control task."""
    # the groups' own check, on scores that hold nothing yet
    HeadScores.from_array(np.zeros((len(file.tasks), 1, 1)), list(file.tasks)).with_groups(study.tasks.groups)
    control = study.tasks.control
    if control is not None and control not in (*file.tasks, *file.left_out):
        hint = f"The tasks are: {', '.join(file.tasks)}"
        raise InputError(f"no task is called {control!r}", "[tasks] control", hint)


def _agreed(prepared: Prepared, section: ModelSection, size: int) -> Prepared:
    """Return the same in batches of this size at most, run in the way that agrees with the model's plain call."""
    # a race puts up to twice as many examples in a batch
    most = 2 * size if any(map(prepared.races, prepared.methods)) else size
    model, notes = agreeing(prepared.model, [task.encoded for task in prepared.tasks], most, section.path)
    if prepared.metric.generated and model.running.batching == "equal":
        # texts of one length have prompts of several, behind which answers are written
        model = replace(model, running=replace(model.running, batching="single"))
    if not model.shortcuts.resumes:
        notes += ("this model's layers cannot be resumed one by one: ablation runs the whole model for every head",)
    identity = _identity(section, model)
    return replace(prepared, model=model, notes=(*prepared.notes, *notes), identity=identity).in_batches(size)


def _asked_in(study: Study, model: LoadedModel) -> LoadedModel:
    """Return the model, described with the language that it is asked to answer in."""
    language = study.tasks.target_language
    if language is None:
        return model
    model = replace(model, described=replace(model.described, target_language=language))
    return _noted(model, [f"the model is made to answer in {language} ([tasks] target_language)"])


def _noted(model: LoadedModel, notes: Sequence[str]) -> LoadedModel:
    """Return the model, described with what a report is to say of it and of its rows."""
    return replace(model, described=replace(model.described, notes=[*model.described.notes, *notes]))


def _options(study: Study, model: LoadedModel, methods: tuple[Chosen, ...]) -> Options:
    """Say how rows are read by the model in this study."""
    options = Options.of(
        model.kind,
        model.model,
        study.tasks,
        context=model.context_of(study.tasks.max_length),
        with_foil=METRICS[study.scoring.metric].needs_foil or any("foil" in c.method.needs for c in methods),
        with_corrupted=any("corrupted" in c.method.needs for c in methods),
    )
    language = language_token(model.tokenizer, model.kind, options, study.tasks.target_language)
    return options if language is None else replace(options, forced_bos=language)


def _batch_size(prepared: Prepared, found: int | None, sharing: int) -> int:
    asked, methods = prepared.study.scoring.batch_size, prepared.methods
    if asked != "auto":
        return asked
    if found:
        return found
    gradients = any("gradient" in chosen.method.needs for chosen in methods)
    copies = max((n for chosen in methods for n in chosen.copies), default=0)
    tasks = [task.encoded for task in prepared.tasks]
    return found_size(prepared.setting(methods[0]), tasks, gradients, copies, sharing)


def _checked(prepared: Prepared, chosen: Chosen) -> Prepared:
    """Return the same, without a further method of another package that raises before anything is scored."""
    try:
        if chosen.plugin is not None:
            chosen.method.unit.format(label="")
            chosen.method.forwards(prepared.model.heads, chosen.parameters)
        if chosen.method.check is not None:
            chosen.method.check(prepared.setting(chosen))
    except ReportgenError:
        raise
    except Exception as error:
        return without(prepared, chosen, error)
    return prepared


def without(prepared: Prepared, chosen: Chosen, error: Exception) -> Prepared:
    """Leave out a method of another package that has raised.

    Raise what was raised where the method is ours, and InputError where it is the study's first: without its scores
    there is no report.
    """
    if chosen.plugin is None:
        raise error
    failed = chosen.plugin.failed(error)
    if chosen.method.name == prepared.study.scoring.method:
        raise _unusable(failed) from error
    plugins = tuple(failed if p.name == failed.name else p for p in prepared.plugins)
    return replace(prepared, methods=tuple(c for c in prepared.methods if c != chosen), plugins=plugins)


def _unusable(plugin: Plugin) -> InputError:
    return InputError(
        f"the {plugin} cannot be used ({plugin.error})",
        "[scoring] method",
        "Mend that package, or choose another method",
    )


def _identity(section: ModelSection, model: LoadedModel) -> dict[str, str]:
    weights, config = model.described.weights_sha256 or "", model.model.config.to_json_string()
    return {
        "the model's weights": weights,
        "the model's config.json": config,
        "dtype": section.dtype,
        "kind of device": model.device.type,
        "kind of model": model.kind,
        "how examples are run": model.running.said,
        **({"compiled": "by torch.compile"} if section.compile else {}),
        **versions(),
    }


def chosen_methods(study: Study) -> tuple[Chosen, ...]:
    """Return the study's methods with their parameters; the activation norm joins where one of them is cheap."""
    usable = {method.name: method for method in METHODS.known()}
    names = list(dict.fromkeys([study.scoring.method, *study.scoring.also]))
    plugins = {
        plugin.name: plugin for plugin in METHODS.used(set(names)) if plugin.name not in usable or not plugin.error
    }
    for name, key in [
        *((n, "method" if n == names[0] else "also") for n in names),
        *((n, "parameters") for n in study.scoring.parameters),
    ]:
        if name not in usable and name not in plugins:
            raise InputError(f"no scoring method is called {name!r}", f"[scoring] {key}", nearest(name, list(usable)))
    if names[0] not in usable:
        raise _unusable(plugins[names[0]])
    names = [name for name in names if name in usable]
    chosen = {
        name: _chosen(usable[name], study.scoring.parameters.get(name, {}), plugins.get(name))
        for name in dict.fromkeys([*names, *study.scoring.parameters])
        if name in usable
    }
    control = activation_norm.METHOD.name
    if any(usable[name].cheap for name in names) and control not in names:
        names.append(control)
        chosen.setdefault(control, _chosen(usable[control], {}))
    return tuple(chosen[name] for name in names)


def _chosen(method: AnyMethod, values: Mapping[str, object], plugin: Plugin | None = None) -> Chosen:
    """Join a method and what the study sets of its parameters; ``signed`` is one more of those that have a sign."""
    location, others = f"[scoring] parameters.{method.name}", [SIGNED] if method.reduction == "mean_abs" else []
    signed = values.get(SIGNED, False) if others else False
    if not isinstance(signed, bool):
        raise InputError(f"signed is {signed!r}", location, "Give true or false")
    own = {name: value for name, value in values.items() if name not in others}
    return Chosen(method, read_parameters(method.parameters, own, location, others), signed, plugin)


def _refuse_unfit(study: Study, methods: tuple[Chosen, ...], model: LoadedModel) -> None:
    """Raise InputError for what the model, the metric and the methods cannot do with each other."""
    metric, positions, location = METRICS[study.scoring.metric], study.scoring.positions, "[scoring] metric"
    for method in (chosen.method for chosen in methods if model.kind not in chosen.method.kinds):
        fit = [m.name for m in METHODS.known() if model.kind in m.kinds]
        raise InputError(
            f"{method.name} cannot score {KINDS[model.kind]}", "[scoring] method", f"Choose one of {', '.join(fit)}"
        )
    if model.kind != "encoder" and model.kind not in metric.kinds:
        fit = [m.name for m in METRICS.values() if model.kind in m.kinds]
        raise InputError(
            f"the metric {metric.name} does not fit {KINDS[model.kind]}", location, f"Choose one of {', '.join(fit)}"
        )
    if model.one_number and metric.choice:
        raise InputError(
            f"the classifier puts out one number, as reward models do, and {metric.name} compares classes",
            location,
            'Choose "class_logit": that number itself is the answer then',
        )
    if study.scoring.examples == "adaptive":
        _refuse_race(methods)
    for chosen in methods:
        if metric.generated and chosen.method.needs & {"gradient", "logits"}:
            raise InputError(
                f"{chosen.method.name} needs the logits of the answer, and {metric.name} generates it",
                location,
                "Choose an ablation, or a metric such as log_odds",
            )
    if positions != "all" and (metric.generated or model.kind in ("seq2seq", "classifier", "encoder")):
        why = f"the metric {metric.name}" if metric.generated else KINDS[model.kind]
        raise InputError(f"{positions!r} has no meaning for {why}", "[scoring] positions", 'Choose "all"')


def _refuse_race(methods: tuple[Chosen, ...]) -> None:
    raced, location = [chosen for chosen in methods if chosen.method.races], "[scoring] examples"
    if not raced:
        able = " or ".join(method.name for method in METHODS.known() if method.races)
        raise InputError("no method of the study can score some heads alone", location, f"Score with {able}")
    for chosen in raced:
        if chosen.signed:
            raise InputError(
                f"a race is for the greatest |s|, and {chosen.method.name} is to be averaged with its sign",
                location,
                'Leave signed out, or give examples = "all"',
            )


def _prepare_task(
    study: Study, model: LoadedModel, options: Options, name: str, rows: tuple[Row, ...], notes: list[str]
) -> PreparedTask:
    scoring = study.scoring
    if study.tasks.chat_template and reads_clock(model.tokenizer):
        notes += [] if CLOCK_NOTE in notes else [CLOCK_NOTE]
    texts = prompted(model.tokenizer, rows, study.tasks, scoring.seed)
    encoded = tuple(encode(model.tokenizer, text, options) for text in texts)
    unknown = sum(model.tokenizer.unk_token_id in e.answer for e in encoded)
    _refuse_unembedded(model, encoded)
    notes += [f"task {name}: {note}" for note in _joins(model, encoded)]
    outside = sum(bool(row.choices) and row.answer.strip() not in map(str.strip, row.choices) for row in rows)
    if outside:
        notes.append(f"task {name}: the answer is none of the choices in {outside} of {len(rows)} rows; it is one more")
    # many byte-level tokenizers name an end-of-text token as their unknown one, and never put it out
    if unknown and model.kind != "classifier":
        notes.append(f"task {name}: the tokenizer does not know a word of the answer in {unknown} of {len(rows)} rows")
    cut = sum(e.cut > 0 for e in encoded)
    if cut:
        notes.append(f"task {name}: {cut} of {len(rows)} prompts are cut ([tasks] truncate) to fit the model's context")
    # the same prompt twice is no second example
    number = components([row.group for row in rows], [row.prompt for row in rows])
    first = {
        int(n): row.group for n, row in sorted(zip(number, rows, strict=True), key=lambda pair: pair[1].group)[::-1]
    }
    rows = tuple(replace(row, group=first[int(n)]) for n, row in zip(number, rows, strict=True))
    halves = split_halves([row.group for row in rows], scoring.seed)
    return PreparedTask(name, rows, encoded, (), halves)


def _refuse_unembedded(model: LoadedModel, encoded: Sequence[Encoded]) -> None:
    """Raise InputError for a token of the tokenizer's for which the model has no embedding, or puts no logit out."""
    read = len(embedding_table(model.model))
    head = getattr(model.model.get_output_embeddings(), "weight", None)  # type: ignore[no-untyped-call]  # no types
    put_out = read if head is None or model.kind not in LANGUAGE else len(head)
    for example in encoded:
        for each in (example, *example.rivals):
            ids = [(token, read) for token in (*each.inputs, *(each.decoder or ()), *(each.corrupted or ()))]
            if model.kind in LANGUAGE:
                ids += [(token, put_out) for token in (*each.answer, *(each.foil or ()))]
            for token, known in ids:
                if token >= known:
                    name = model.tokenizer.convert_ids_to_tokens(token)
                    raise InputError(
                        f"the model has no embedding for the token {name!r}: it is number {token}, counted from 0, "
                        f"and there are {known}",
                        f"{example.row.location} (id {example.row.id!r})",
                        "Resize the model's embeddings to its tokenizer (resize_token_embeddings), train the new "
                        "tokens and save both, or remove the token from the row",
                    )


JOINS = {
    WHITE_SPACE: "white space of prompt, delimiter and answer meets in {} of {} rows: one run of it stands",
    DOUBLED: "{} of {} prompts hold special tokens that the tokenizer puts there itself: they stand once",
}


def _joins(model: LoadedModel, encoded: Sequence[Encoded]) -> list[str]:
    """Say what was changed where prompts and answers meet, each with the tokens of the first row that it befell."""
    found = {what: [e for e in encoded if what in e.joined] for what in JOINS}
    return [
        f"{JOINS[what].format(len(some), len(encoded))}. Row {some[0].row.id!r} is read as "
        f"{shown(model.tokenizer, some[0], model.kind)}"
        for what, some in found.items()
        if some
    ]


def versions() -> dict[str, str]:
    """Return the versions that the numbers depend on."""
    import transformers

    return {"torch": str(torch.__version__), "transformers": str(transformers.__version__), "reportgen": __version__}
