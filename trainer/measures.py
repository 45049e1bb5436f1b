"""Exact match before and after training, and the sample answers in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from trainer.checkpoint import Selected
from trainer.context import Context
from trainer.contract.events import MetricsEvent, ProgressEvent, SampleEvent, Stage
from trainer.contract.files import read_json, write_json
from trainer.evaluate import Answerer, Question, score, write_predictions
from trainer.loops.loop import CommittedLoop, untouched_chance
from trainer.splits import Splits
from trainer.workbench import Workbench

SCORES = "scores.json"


def make_answerer(context: Context, bench: Workbench, loop: CommittedLoop,
                  splits: Splits) -> Answerer:
    """Return the model under training as one that answers."""
    return Answerer(loop.model, bench.tokenizer, splits.template.eos_ids,
                    context.config.evaluation.max_new_tokens, splits.template.stop_strings,
                    loop.accelerator.autocast)


def make_sampler(context: Context, answerer: Answerer,
                 splits: Splits) -> Callable[[], list[SampleEvent]] | None:
    """Return what answers the sample prompts at each evaluation; None without prompts or words.

    The step is filled in by the caller.
    """
    questions = [*splits.fixed, *splits.questions[:context.config.evaluation.samples]]
    if not questions or context.config.facts.head:
        return None

    def sample() -> list[SampleEvent]:
        with untouched_chance():
            answers = answerer.answer(questions)
        return [SampleEvent(step=0, prompt=q.prompt, reference=q.reference, output=a)
                for q, a in zip(questions, answers, strict=True)]

    return sample


def measure_before(context: Context, answerer: Answerer, splits: Splits,
                   start: Selected) -> float | None:
    """Return exact match of the base model; a resumed run remembers it."""
    if not context.config.evaluation.exact_match:
        return None
    if start.path is not None:
        scores: Any = read_json(context.run.eval / SCORES) or {}
        return scores.get("exact_match_before")
    value = _measure(context, answerer, splits.questions, when="base", step=0)
    write_json(context.run.eval / SCORES, {"exact_match_before": value})
    return value


def measure_after(context: Context, answerer: Answerer, splits: Splits,
                  loop: CommittedLoop) -> float | None:
    """Return exact match of the trained model."""
    if not context.config.evaluation.exact_match:
        return None
    return _measure(context, answerer, splits.questions, when="tuned",
                    step=loop.state.global_step)


def _measure(context: Context, answerer: Answerer, questions: Sequence[Question], *,
             when: str, step: int) -> float:
    """Answer the questions, write the predictions, emit exact match (0 to 1).

    ``when`` is 'base' or 'tuned'; it names the stage and the predictions file.
    """
    questions = questions[:context.config.evaluation.limit]
    stage: Stage = "baseline" if when == "base" else "evaluating"
    context.emit.stage(stage, f"Answering {len(questions)} questions")

    def progress(done: int) -> None:
        context.stop.check()
        context.emit(ProgressEvent(stage=stage, done=done, total=len(questions),
                                   unit="questions"))

    with untouched_chance():
        predictions = answerer.answer(questions, progress)
    value = score(questions, predictions)
    write_predictions(context.run.eval / f"predictions-{when}.jsonl", questions, predictions)
    context.emit(MetricsEvent(step=step, values={"exact_match": value}))
    print(f"exact match ({when}): {value:.1%}", flush=True)
    return value
