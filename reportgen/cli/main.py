"""The command line: parse, call, print."""

import atexit
import errno
import gc
import json
import os
import signal
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from reportgen import __version__
from reportgen.cli import streams
from reportgen.cli.arguments import command, overrides
from reportgen.cli.console import announce, claim_lines, described_lines, left_out, plain, print_plan, show, warn
from reportgen.cli.progress import progress
from reportgen.core.provenance import epoch
from reportgen.errors import InputError, MissingResourceError, ReportgenError, nearest, ran_out, unreachable

INTERRUPTED = 130  # 128 + SIGINT, as shells report an interrupt
app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

Output = Annotated[Path, typer.Option("-o", "--output", help="Folder to write into.")]
OutputUrl = Annotated[str, typer.Option("-o", "--output", help="Folder to write into, or any URL that fsspec writes.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite a folder that holds another study's report.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Set one value over the study file; may be repeated."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what the run would cost, and stop.")]
Method = Annotated[str | None, typer.Option(help="Scoring method.")]
Anonymous = Annotated[bool | None, typer.Option("--anonymous", help="Leave out authors and paths, for blind review.")]
Templates = Annotated[
    Path | None, typer.Option(help="Folder of templates and sentences that override the shipped ones.")
]
TrustTemplates = Annotated[
    bool, typer.Option("--trust-templates", help="Use templates that came with a report; else they are left out.")
]
Assets = Annotated[
    str | None, typer.Option(metavar="DIR", help="Folder of the report for the page's script and images.")
]
Venue = Annotated[
    str | None, typer.Option(help="Figures for a paper too: neurips, icml, acl, …, or a width in inches.")
]
Limit = Annotated[int | None, typer.Option(help="Examples per task.")]
Executor = Annotated[str | None, typer.Option(help="Who computes: local, or ray for the workers of a Ray cluster.")]
Address = Annotated[
    str | None, typer.Option(help="The Ray cluster, HOST:PORT or auto; without it one is started here.")
]


def version_asked(value: bool) -> None:
    """Print the version and stop."""
    if value:
        streams.out(f"reportgen {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=version_asked, is_eager=True, help="Print the version.")]


@app.callback()
def root(version: Version = False) -> None:
    """Which attention heads matter, for which task, and how sure are we?"""
    epoch()  # refused here: libraries that are loaded later read it too


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder for the new study.")] = Path(),
    from_: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="A file of scores that the study is to be of.")
    ] = None,
    set_: Set = None,
) -> None:
    """Write a commented study.toml and an example task file; or, with --from, the study.toml of a file of scores."""
    from reportgen.core.sentences import template_folder
    from reportgen.storage.files import write_atomic

    if from_ is not None:
        from reportgen.pipeline.convert import STUDY, init_from

        found = init_from(from_, folder, overrides(set_))
        asked = [f"not in the file: {what} ([scores] {key})" for key, _, what in found.asked]
        return streams.out(plain("\n".join([*found.lines, *asked, str(folder / STUDY)])))
    names = ("study.toml", "tasks.jsonl")
    for name in names:
        if (folder / name).exists():
            raise InputError("this file exists already", str(folder / name), "Choose another folder")
    for name in names:
        write_atomic(folder / name, (template_folder() / "init" / name).read_bytes())
        streams.out(plain(str(folder / name)))


@app.command()
def score(
    study: Annotated[Path, typer.Argument(help="A study.toml, a folder holding one, or a model.")],
    output: OutputUrl = "report",
    method: Method = None,
    limit: Limit = None,
    executor: Executor = None,
    address: Address = None,
    set_: Set = None,
    dry_run: DryRun = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Score the heads of the study's model on its tasks."""
    from reportgen.pipeline.artifacts import Run, ScoresArtifact
    from reportgen.pipeline.options import Options
    from reportgen.pipeline.run_directory import save_scores, scores_hashes
    from reportgen.pipeline.source import check, open_source
    from reportgen.pipeline.staging import staged

    values = overrides(set_, method=method, limit=limit, executor=executor, address=address)
    source = open_source(study, values)
    check(source.study)
    if dry_run:
        return print_plan(source.study, as_json)
    with staged(output) as stage, progress(quiet, as_json) as listener:
        run = Run(stage.folder, source, Options(listener, stage.checkpoints), force)
        scores = ScoresArtifact(run).obtain()
        save_scores(scores, stage.folder)
        files = [f"{output}/{name}" for name in (*scores_hashes(stage.folder), "scores.csv")]
        stage.publish()
    warn(scores.blocks[0].plugins)
    content = {
        "output": output,
        "files": files,
        "tasks": [task.name for task in scores.tasks],
        "methods": list(scores.methods),
        "blocks": [{"block": s.block, "layers": s.n_layers, "heads": s.n_heads} for s in scores.blocks],
    }
    show(as_json, content, files)


@app.command()
def analyze(
    scores: Path,
    output: Output = Path("report"),
    trust_templates: TrustTemplates = False,
    set_: Set = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Find what the scores say: from a scores file, or from the folder of `score` or a report, with its study."""
    collect_seldom()
    from reportgen.pipeline.artifacts import FindingsArtifact, Run, ScoresArtifact
    from reportgen.pipeline.options import Options
    from reportgen.pipeline.reading import open_folder
    from reportgen.pipeline.run_directory import alone, copy_scores, save_scores, taken_from
    from reportgen.pipeline.source import check, open_source

    with progress(quiet, as_json) as listener:
        options, folder = Options(listener), scores if scores.is_dir() else None
        if folder is not None:
            loaded, source = open_folder(folder, overrides(set_), trust_templates=trust_templates)
            if folder.resolve() != output.resolve():
                copy_scores(folder, output, force)
                save_scores(loaded, output)
        else:
            source = open_source(scores, overrides(set_), trust_templates=trust_templates)
            check(source.study)
            loaded = ScoresArtifact(Run(output, source, options, force)).obtain()
            save_scores(loaded, output)
        with alone(output), nullcontext() if folder is None else taken_from(folder):
            findings = FindingsArtifact(Run(output, source, options, force), loaded).obtain()
    left_out(source.left_out)
    sentences = [f.sentence for f in findings.ranked()]
    path = str(output / "findings.json")
    warn(findings.plugins)
    show(as_json, {"findings": path, "count": len(sentences), "sentences": sentences}, [*sentences, path])


@app.command()
def validate(folder: Path, set_: Set = None, quiet: Quiet = False, as_json: Json = False) -> None:
    """Knock out what was found, and matched heads, on held-out examples: from a folder of `analyze` or a report."""
    from reportgen.core.sentences import badges
    from reportgen.pipeline.artifacts import Run, obtain_trials
    from reportgen.pipeline.options import Options
    from reportgen.pipeline.reading import open_folder, read_findings
    from reportgen.pipeline.run_directory import alone, taken_from
    from reportgen.pipeline.source import check

    scores, source = open_folder(folder, overrides(set_))
    check(source.study)
    with alone(folder), progress(quiet, as_json) as listener, taken_from(folder):
        trials = obtain_trials(Run(folder, source, Options(listener)), read_findings(folder, scores))
    tried = [f for f in trials.findings.findings if f.verdict is not None]
    content = {"verdicts": {f.id: f.verdict for f in tried}}
    lines = [f"{f.id}: {badges(f)}" for f in tried] or ["nothing was tried: the study has no model, or turns it off"]
    show(as_json, content, lines)


@app.command()
def summarize(folder: Path, set_: Set = None, as_json: Json = False) -> None:
    """Write claims.json, what a reader should take away: from a folder of `analyze`, `validate` or a report."""
    from reportgen.core.claims import to_json
    from reportgen.pipeline.artifacts import Run, write_claims
    from reportgen.pipeline.reading import open_folder, read_findings, read_trials
    from reportgen.pipeline.run_directory import alone, taken_from
    from reportgen.summary import summarize as summary

    scores, source = open_folder(folder, overrides(set_))
    with alone(folder), taken_from(folder):
        trials = read_trials(folder, read_findings(folder, scores))
        claims = write_claims(Run(folder, source), summary.summarize(trials))
    show(as_json, to_json(claims), list(claim_lines(claims)))


@app.command()
def render(
    folder: Path,
    figures: Annotated[str, typer.Option(help="Forms of the figures: svg, pdf, png.")] = "svg",
    venue: Venue = None,
    templates: Templates = None,
    assets: Assets = None,
    trust_templates: TrustTemplates = False,
    set_: Set = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write page, PDF, figures and tables from the scores and findings in a folder."""
    collect_seldom()
    from reportgen.pipeline.artifacts import ReportArtifact, Run, write_claims
    from reportgen.pipeline.build import Built
    from reportgen.pipeline.options import Options
    from reportgen.pipeline.reading import open_folder, read_findings, read_trials, reworded
    from reportgen.pipeline.run_directory import alone, taken_from
    from reportgen.pipeline.source import check
    from reportgen.summary import summarize as summary

    values = overrides(set_, templates=templates, assets=assets, venue=venue)
    scores, source = open_folder(folder, values, trust_templates=trust_templates)
    check(source.study)
    findings = read_findings(folder, scores)
    forms = tuple(f.strip() for f in figures.split(",") if f.strip())
    with alone(folder), progress(quiet, as_json) as listener, taken_from(folder):
        options = Options(listener, command=command(), separate_process=True, figures=forms)
        run = Run(folder, source, options)
        trials = read_trials(folder, reworded(findings, source, folder))
        claims = write_claims(run, summary.summarize(trials))
        ReportArtifact(run, claims).obtain()
    announce(Built(folder, claims, source.left_out), as_json)


@app.command()
def build(
    source: Path,
    output: OutputUrl = "report",
    method: Method = None,
    limit: Limit = None,
    anonymous: Anonymous = None,
    executor: Executor = None,
    address: Address = None,
    venue: Venue = None,
    templates: Templates = None,
    assets: Assets = None,
    trust_templates: TrustTemplates = False,
    set_: Set = None,
    dry_run: DryRun = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make the whole report from a study.toml, a model, a file of scores, or a report's PDF.

    A model's folder, GGUF file or hub id is scored on the usual suites of tasks (`reportgen tasks`).
    """
    if source.is_file() and source.suffix not in (".toml", ".gguf"):
        collect_seldom()  # scores made elsewhere: no model is loaded
    from reportgen.pipeline import build as pipeline
    from reportgen.pipeline.options import Options
    from reportgen.pipeline.source import open_source
    from reportgen.pipeline.staging import staged

    values = overrides(
        set_,
        method=method,
        limit=limit,
        anonymous=anonymous,
        executor=executor,
        address=address,
        templates=templates,
        assets=assets,
        venue=venue,
    )
    if dry_run:
        return print_plan(open_source(source, values).study, as_json, validated=True)
    with staged(output) as stage:
        with progress(quiet, as_json) as listener:
            options = Options(listener, stage.checkpoints, command(), True, trust_templates)
            built = pipeline.build(source, stage.folder, overrides=values, force=force, options=options)
            stage.publish()
        announce(built, as_json, output)


@app.command()
def verify(
    report: Annotated[Path, typer.Argument(help="A report's folder, or its PDF alone.")],
    quick: Annotated[bool, typer.Option("--quick", help="Check hashes and seals only; compute nothing again.")] = False,
    trust_templates: Annotated[
        bool, typer.Option("--trust-templates", help="Use the overriding templates that the report brings along.")
    ] = False,
    signers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Whose signature counts: an allowed_signers file of OpenSSH.")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make a report again from its scores and compare: verified (exit code 0), differs (1), or not fully verified (4).

    The last means that nothing differs, and that what could not be checked is listed with the reason.
    """
    from reportgen.archive import verify as archive

    with progress(quiet, as_json) as listener:
        found = archive.verify(
            report, quick=quick, progress=listener.progress, signers=signers, trust_templates=trust_templates
        )
    show(as_json, archive.as_json(found), archive.lines(found))
    raise typer.Exit(archive.EXIT[found.result])


@app.command()
def sign(
    report: Annotated[Path, typer.Argument(help="A report's folder, or its PDF alone.")],
    key: Annotated[Path, typer.Option(help="Your private key of OpenSSH, such as ~/.ssh/id_ed25519.")],
    as_json: Json = False,
) -> None:
    """Sign a report with your OpenSSH key: manifest.json and the PDF, whose signatures then lie beside them."""
    from reportgen.archive.sign import sign as signed

    show(as_json, {"files": (paths := [str(path) for path in signed(report, key)])}, paths)


@app.command()
def compare(
    reports: Annotated[list[Path], typer.Argument(help="Two reports or more; the others are held against the first.")],
    output: Output = Path("comparison"),
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 where a run differs from the first.")] = False,
    alpha: Annotated[float, typer.Option(help="Chance of any head that is falsely found to differ.")] = 0.05,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare runs: heads that differ, agreement of ranks, findings gained, lost and moved."""
    from reportgen.archive.compare import compare as archive
    from reportgen.pipeline.run_directory import taken_from

    with progress(quiet, as_json) as listener, taken_from(Path(", ".join(map(str, reports)))):
        made = archive.compare(reports, output, alpha=alpha, progress=listener.progress)
    page = str(output / "compare.html")
    show(as_json, archive.as_json(made), [page, *archive.lines(made)])
    if check and made.differs:
        raise typer.Exit(1)


@app.command()
def index(
    folder: Annotated[Path, typer.Argument(help="A folder of reports, at any depth.")],
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write index.html over a folder of reports: searchable, readable without script; only changed reports are read."""
    from reportgen.archive import index as archive

    with progress(quiet, as_json) as listener:
        made = archive.index(folder, progress=listener.progress)
    show(as_json, archive.as_json(made), archive.lines(made))


@app.command()
def explain(
    folder: Path,
    name: Annotated[
        str | None, typer.Argument(metavar="[FINDING|CLAIM|HEAD]", help="Its id, or a head: L6H24; without it, a list.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a finding's rule or null, numbers and cells, a claim's support, or a head on every task; or list them."""
    from reportgen.cli import explain as explaining
    from reportgen.pipeline.reading import open_folder, read_claims, read_findings, read_trials
    from reportgen.pipeline.run_directory import taken_from

    with taken_from(folder):
        trials = read_trials(folder, read_findings(folder, open_folder(folder)[0]))
        content, lines = explaining.explained(name, read_claims(folder, trials), folder)
    show(as_json, content, lines)


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="A file of scores in any form that is read.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The table to write.")] = Path("scores.csv"),
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Write the tidy table that a file of scores was understood to hold, to be looked at."""
    from reportgen.pipeline.convert import convert as converted

    found = converted(file, output, overrides(set_))
    lines = list(found.lines)
    blocks = [{"block": s.block, "layers": s.n_layers, "heads": s.n_heads, "scored": s.coverage} for s in found.blocks]
    tasks = list(found.blocks[0].task_names)
    show(as_json, {"file": str(output), "read": lines, "tasks": tasks, "blocks": blocks}, [*lines, str(output)])


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A report's folder, or one of `analyze`.")],
    output: Output = Path("export"),
    heads: Annotated[bool, typer.Option("--heads", help="heads.json, as every report holds it.")] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="The tidy table, for pandas.")] = False,
    masks: Annotated[bool, typer.Option("--masks", help="Masks of sets, for TransformerLens and nnsight.")] = False,
    head_mask: Annotated[bool, typer.Option("--head-mask", help="The same as transformers' head_mask.")] = False,
    mib: Annotated[bool, typer.Option("--mib", help="Graphs of nodes, for EAP-IG and MIB's circuit track.")] = False,
    wandb: Annotated[bool, typer.Option("--wandb", help="Table and artifact of Weights & Biases, as files.")] = False,
    model_card: Annotated[bool, typer.Option("--model-card", help="A section of a Hugging Face model card.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The claims as a Markdown table.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="The claims as a LaTeX table.")] = False,
    top: Annotated[int, typer.Option(min=1, help="Leading heads of each task that are a set.")] = 10,
    as_json: Json = False,
) -> None:
    """Write a report's heads and claims in the forms of other tools, all of them where none is named; as files only."""
    from reportgen.archive.export import FORMATS
    from reportgen.archive.export import export as exported
    from reportgen.pipeline.run_directory import taken_from

    flags = (heads, parquet, masks, head_mask, mib, wandb, model_card, markdown, latex)
    wanted = tuple(name for name, flag in zip(FORMATS, flags, strict=True) if flag) or tuple(FORMATS)
    with taken_from(folder):
        files = [str(path) for path in exported(folder, output, wanted, top)]
    show(as_json, {"output": str(output), "files": files}, files)


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="of this method all that is known")] = None, as_json: Json = False
) -> None:
    """List the scoring methods, or explain one: formula, unit, sign, cost, parameters and source."""
    from reportgen.scoring.methods.common.method import METHODS

    warn(METHODS.used(None))
    known = {m.name: m.described for m in METHODS.known()}
    if name is None:
        show(as_json, known, [f"{name}: {described['summary']}" for name, described in known.items()])
    else:
        described = METHODS.get(name, "reportgen methods").described
        show(as_json, described, list(described_lines(described)))


@app.command()
def tasks(
    action: Annotated[str, typer.Argument(help="list, show or make")] = "list",
    name: Annotated[str | None, typer.Argument(help="of a suite")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Task file to write (make).")] = None,
    model: Annotated[str | None, typer.Option(help="The model whose tokenizer the rows are fitted to (make).")] = None,
    limit: Limit = None,
    length: Annotated[list[int] | None, typer.Option(help="Length of prompts in tokens; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(help="Seed that the rows are drawn by.")] = 0,
    as_json: Json = False,
) -> None:
    """List the suites of tasks that come with reportgen, show one, or make the task file of one.

    With --model, rows that its tokenizer does not read as they are meant are replaced by others.
    """
    from reportgen.cli import tasks as suites

    content, lines = suites.answer(action, name, output, model, {"limit": limit, "lengths": length or []}, seed)
    show(as_json, content, lines)


@app.command()
def detectors(as_json: Json = False) -> None:
    """List what the analysis looks for."""
    from reportgen.analysis.view import DETECTORS

    warn(DETECTORS.used(None))
    known = DETECTORS.known()
    show(as_json, {d.name: d.doc for d in known}, [f"{d.name}: {d.summary}" for d in known])


@app.command()
def topics(as_json: Json = False) -> None:
    """List what a report's claims are about."""
    from reportgen.core.topics import TOPICS

    warn(TOPICS.used(None))
    known = TOPICS.known()
    show(as_json, {t.name: t.summary for t in known}, [f"{t.name}: {t.title}; {t.summary}" for t in known])


@app.command()
def schema(what: Annotated[str, typer.Argument(help="study, findings, validation or claims")]) -> None:
    """Print the JSON Schema of study.toml, findings.json, validation.json or claims.json."""
    from reportgen.analysis.analyze import findings_schema
    from reportgen.core.claims import json_schema as claims_schema
    from reportgen.core.config_file import study_schema
    from reportgen.validation.recorded import json_schema as validation_schema

    known: dict[str, Callable[[], object]] = {
        "study": study_schema,
        "findings": findings_schema,
        "validation": validation_schema,
        "claims": claims_schema,
    }
    if what not in known:
        raise InputError(f"there is no schema of {what!r}", "reportgen schema", nearest(what, list(known)))
    streams.out(json.dumps(known[what](), indent=2))


def collect_seldom() -> None:
    """Look for unreachable cycles seldom in this command, which holds no tensors: those need the usual thresholds.

    Loading modules makes objects that stay; looking through them each time took 7 % of a small report's time.
    """
    # Python's own first threshold is 700 objects.
    gc.set_threshold(200_000, 20, 100)


def main() -> NoReturn:
    """Run a command; the one place where errors become messages and exit codes.

    SIGTERM, with which clusters and shells ask a process to end, ends it as Ctrl-C does.
    """
    asked = list[int]()  # the signals that asked for an end

    def end(number: int, _: object) -> NoReturn:
        asked.append(number)
        raise KeyboardInterrupt

    # the first to be registered is called last: all is done then, and Python, as it takes itself down, would die of it
    atexit.register(_on_signals, signal.SIG_IGN)
    _on_signals(end)
    streams.ready()
    try:
        try:
            code = int(app(standalone_mode=False) or 0)  # typer hands back 130 for an interrupt
        except BaseException as error:
            code = code_of(error)
        _on_signals(leave)
    except KeyboardInterrupt:  # while an error was printed
        code = INTERRUPTED
    # an interrupt that came while a library called back is swallowed there, and its sign alone is left
    if asked or code == INTERRUPTED:
        code = fail("interrupted; finished parts are kept, and the same command goes on from there", INTERRUPTED)
    raise SystemExit(code)


def code_of(error: BaseException) -> int:
    """Print what ended a command, unless it was asked for, and return the exit code."""
    if isinstance(error, ReportgenError):
        return fail(str(error), error.exit_code)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return INTERRUPTED
    if isinstance(error, typer.Exit):
        return int(error.exit_code)
    if isinstance(error, Exception):
        return usage_or_internal(error)
    raise error


def leave(*_: object) -> NoReturn:
    """End at once: all files are written and all messages printed."""
    os._exit(INTERRUPTED)


def _on_signals(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    """Answer Ctrl-C and SIGTERM so; Ctrl-C only where the caller did not have it ignored, as nohup does."""
    signal.signal(signal.SIGTERM, handler)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)


def usage_or_internal(error: Exception) -> int:
    """Report a wrong use of the command line, or a fault of ours; return the exit code."""
    shown = getattr(error, "format_message", None)
    if shown is not None:
        return fail(f"{shown()} (see reportgen --help)", 2)
    if os.environ.get("REPORTGEN_DEBUG"):
        traceback.print_exc()
    closed = unreachable(error) if isinstance(error, OSError) else None
    if closed is not None:
        return fail(str(closed), closed.exit_code)
    if isinstance(error, OSError) and error.filename is None and error.errno in {*streams.FULL, errno.EPIPE}:
        return _printed_in_vain(error)
    if ran_out(error):
        message = "memory ran out; finished parts are kept, and the same command goes on where there is more of it"
        return fail(message, MissingResourceError.exit_code)
    note = "this is a fault of reportgen, please report it; REPORTGEN_DEBUG=1 prints where"
    return fail(f"{type(error).__name__}: {error}\n{note}", 70)


def _printed_in_vain(error: OSError) -> int:
    """Answer for what typer itself could not print, its help above all; return the exit code."""
    try:
        streams.lost(error)
    except ReportgenError as fault:
        return fail(str(fault), fault.exit_code)
    return 0


def fail(message: str, code: int) -> int:
    """Print an error and hand back its exit code."""
    streams.say(plain(f"reportgen: {message}"))
    return code


if __name__ == "__main__":
    main()
