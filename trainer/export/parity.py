"""Is it the same model? What was exported is asked by the programs that use it.

Eight prompts, greedily: the tokens that each program makes of a prompt, the tokens that it answers,
and how likely it finds the trained model's answers. One model is in memory at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

from tokenizers import Tokenizer

from trainer.contract.config import RunConfig, objectives_with
from trainer.contract.rundir import RunDir
from trainer.export.errors import Cancel, ExportError, Progress, require_wanted
from trainer.export.merge_source import Trained, find_trained
from trainer.export.parity_judge import Reference
from trainer.export.parity_prompts import COUNT, Prompt, Reader, choose
from trainer.export.parity_reference import Subject, ask, is_on_gpu, trained_model
from trainer.export.parity_report import ArtefactReport, ParityReport, SideReport
from trainer.export.parity_sides import PROGRAMS, Artefact, Asked, check_side
from trainer.prompts import Prompter, Template

__all__ = ["Artefact", "Options", "ParityReport", "check_base", "check_parity"]
LONGEST_ANSWER = 32


class Options(TypedDict, total=False):
    """How a check is done.

    Attributes:
        prompts: Conversations to ask in place of the run's own rows.
        count: How many of the run's rows are asked, 8 by default.
        max_new_tokens: Longest answer, 32 by default.
        progress: Told after each side: (done, in all, what comes next).
        cancelled: Asked before each prompt of the trained model, and while programs run.
    """

    prompts: Sequence[list[dict[str, Any]]] | None
    count: int
    max_new_tokens: int
    progress: Progress | None
    cancelled: Cancel | None


@dataclass
class _Steps:
    """Tells how far a check is."""

    total: int
    progress: Progress | None
    done: int = 0

    def begin(self, what: str) -> None:
        """Say what comes next."""
        if self.progress:
            self.progress(self.done, self.total, what)

    def end(self, what: str) -> None:
        """Count one step."""
        self.done += 1
        self.begin(what)


def check_parity(run: RunDir, checkpoint: Path | None, artefacts: Sequence[Artefact],
                 **options: Unpack[Options]) -> ParityReport:
    """Compare artefacts of a run with what it trained.

    Args:
        run: The run.
        checkpoint: The folder of the checkpoint that was exported, None for the finished result.
        artefacts: What was made of it.
        **options: See ``Options``.

    Raises:
        Failure: The base is not the one that the run was trained on ('base_changed').
        ModelError: The trained model is not whole, or cannot be loaded.
        ExportError: It was cancelled ('cancelled').
        TemplateError: The run's chat template cannot be used any more.
    """
    config = run.read_config()
    if config.objective in objectives_with(head=True):
        return _unasked(run, checkpoint, artefacts)
    runs = Path(os.environ.get("FINESTRA_RUNS") or run.path.parent)
    subject = Subject(config, find_trained(run, checkpoint), runs)
    report = _compare(subject, artefacts, options)
    report.run, report.checkpoint = run.id, checkpoint.name if checkpoint else ""
    return report


def check_base(folder: Path, artefacts: Sequence[Artefact],
               **options: Unpack[Options]) -> ParityReport:
    """Compare artefacts of a model that no run has made with its folder; see ``check_parity``."""
    config = RunConfig.model_validate({"model": {"name_or_path": str(folder)}})
    trained = Trained(folder, (), folder, Template("auto"))
    subject = Subject(config, trained, folder.parent, has_rows=False)
    report = _compare(subject, artefacts, options)
    report.run = folder.name
    return report


def _compare(subject: Subject, artefacts: Sequence[Artefact], options: Options) -> ParityReport:
    limit, trained = options.get("max_new_tokens", LONGEST_ANSWER), subject.trained
    sides = [(artefact, program) for artefact in artefacts for program in PROGRAMS[artefact.kind]]
    steps = _Steps(1 + len(sides), options.get("progress"))
    steps.begin("the trained model")
    asked, told = _ask_trained(subject, limit, options)
    found: dict[Path, list[SideReport]] = {artefact.path: [] for artefact in artefacts}
    for artefact, program in sides:
        steps.end(f"{artefact.path.name}, {program.name}")
        found[artefact.path].append(check_side(artefact, program, asked))
    steps.end("")
    return ParityReport(
        run="", reference=_named(trained, asked.computes), notes=_notes(subject.config, trained),
        prompts_from=told, prompts=len(asked.prompts), max_new_tokens=limit,
        artefacts=[_report(one, found[one.path] or [_NO_PROGRAM]) for one in artefacts])


_NO_PROGRAM = SideReport(program="", verdict="not run", reasons=[
    "Finestra has no program for this format that could be asked."])


def _ask_trained(subject: Subject, limit: int, options: Options) -> tuple[Asked, str]:
    """Return what the trained model says, and whose prompts they are."""
    config, trained, cancelled = subject.config, subject.trained, options.get("cancelled")
    tokenizer: Any = Tokenizer.from_file(str(trained.words / "tokenizer.json"))
    with Prompter(trained.words, trained.template.name) as prompter:
        template = prompter.describe_if_any()
        is_chat = bool(template.source) and config.facts.rows != "text"
        reader = Reader(prompter if is_chat else None, tokenizer)
        prompts, told = choose(config if subject.has_rows else None, reader,
                               options.get("prompts"), count=options.get("count", COUNT))

    def wanted() -> None:
        require_wanted(cancelled)

    wanted()
    with trained_model(subject) as (model, computes):
        prompts = _fitting(prompts, model, limit)
        if not prompts:
            raise ExportError("no_prompts", "There is no prompt that the model's chat template and "
                              "context take, so nothing can be compared.",
                              "Choose shorter answers, or export without the comparison.")
        said = ask(model, [prompt.ids for prompt in prompts], template.eos_ids, limit, wanted)
    reference = Reference([prompt.text for prompt in prompts], said, template.eos_ids,
                          _decoder(tokenizer))
    return Asked(prompts, reference, computes, trained.folder, limit, is_on_gpu(),
                 cancelled), told


def _fitting(prompts: Sequence[Prompt], model: Any, limit: int) -> list[Prompt]:
    """Leave out prompts that leave no room for an answer."""
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 1 << 30
    return [prompt for prompt in prompts if len(prompt.ids) + limit <= longest]


def _decoder(tokenizer: Any) -> Callable[[Sequence[int]], str]:
    def decode(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=False))

    return decode


def _named(trained: Trained, computes: str) -> str:
    what = "the run's own weights" if trained.is_whole else "base and adapter as trained"
    return f"{what}, computed in {computes}"


def _notes(config: RunConfig, trained: Trained) -> list[str]:
    """Return what a person should know of the reference."""
    found = []
    if config.model.quantization != "none" and not trained.is_whole:
        found.append(f"Training held the base in {config.model.quantization}; here it has its "
                     "stored weights, which is what every export is made of, so the distance to "
                     "what was seen in training is not part of these numbers.")
    if len(trained.adapters) > 1:
        found.append("The run began with other adapters merged into its base: its adapter alone, "
                     "over the base, is another model.")
    if trained.template.stop_strings:
        found.append("Some answers end at a text that is no token: "
                     f"{', '.join(map(repr, trained.template.stop_strings))}. Programs that use "
                     "the model have to be told.")
    return found


def _report(artefact: Artefact, sides: Sequence[SideReport]) -> ArtefactReport:
    return ArtefactReport(kind=artefact.kind, format=artefact.format, name=artefact.path.name,
                          sides=list(sides))


def _unasked(run: RunDir, checkpoint: Path | None,
             artefacts: Sequence[Artefact]) -> ParityReport:
    """Return the report of a model that gives scores: it has no answers to compare."""
    side = SideReport(program="", verdict="not run", reasons=[
        "The run trained a model that gives scores in place of words; there are no answers to "
        "compare."])
    return ParityReport(
        run=run.id, checkpoint=checkpoint.name if checkpoint else "", reference="scores",
        prompts_from="nowhere", prompts=0, max_new_tokens=0,
        artefacts=[_report(artefact, [side]) for artefact in artefacts])
