"""Answers to the held-out questions before, during and after training, their scores and samples."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer import scoring
from trainer.checkpoint import Selected
from trainer.context import Context
from trainer.contract.events import MetricsEvent, ProgressEvent, SampleEvent, Stage, finite
from trainer.contract.files import read_json, write_json
from trainer.evaluate import Answerer, Question, as_predictions, write_predictions
from trainer.failures import Failure
from trainer.loops.loop import CommittedLoop, EvaluationCut, untouched_chance
from trainer.scoring import Metric, Scores
from trainer.splits import Splits
from trainer.workbench import Workbench

SCORES = "scores.json"
# Files of answers along the way that are kept besides those of the best step.
KEPT = 3


def make_metrics(context: Context) -> list[Metric]:
    """Return what scores the answers along the way.

    Raises:
        Failure: A metric needs a package that is not installed.
    """
    return [scoring.make(name) for name in context.config.evaluation.metrics]


def make_answerer(context: Context, bench: Workbench, loop: CommittedLoop,
                  splits: Splits) -> Answerer:
    """Return the model under training as one that answers."""
    return Answerer(loop.model, bench.tokenizer, splits.template.eos_ids,
                    context.config.evaluation.max_new_tokens, splits.template.stop_strings,
                    loop.accelerator.autocast)


@dataclass
class Examiner:
    """Asks the held-out questions of a model that is being trained.

    Attributes:
        questions: Those that count, with their right answers.
        metrics: What scores the answers along the way.
        said: The last answers along the way, and the step they are of.
    """

    context: Context
    answerer: Answerer
    questions: Sequence[Question]
    metrics: Sequence[Metric]
    said: tuple[int, list[str]] = field(default=(0, []))

    def measure_before(self, start: Selected) -> float | None:
        """Score the base model; returns exact match, which a resumed run remembers.

        Raises:
            Failure: ``no_reference``: no row has what a metric compares with.
        """
        matches = self.context.config.evaluation.exact_match
        if start.path is not None:
            known: Any = read_json(self.context.run.eval / SCORES) or {}
            return known.get("exact_match_before") if matches else None
        if not matches and not self.metrics:
            return None
        found = self._measure("base", 0, [*_exact(matches), *self.metrics])
        value = finite(found.pop(0).value) if matches else None
        _require_rows(found)
        write_json(self.context.run.eval / SCORES, {"exact_match_before": value})
        values: dict[str, float | None] = {"exact_match": value} if matches else {}
        self.context.emit(MetricsEvent(step=0, values=values | _named(found)))
        return value

    def measure_after(self, step: int) -> float | None:
        """Return exact match of the trained model."""
        if not self.context.config.evaluation.exact_match:
            return None
        value = finite(self._measure("tuned", step, _exact(True))[0].value)
        self.context.emit(MetricsEvent(step=step, values={"exact_match": value}))
        return value

    def _measure(self, when: str, step: int, metrics: Sequence[Metric]) -> list[Scores]:
        """Answer the questions and write the predictions; ``when`` is 'base' or 'tuned'."""
        stage: Stage = "baseline" if when == "base" else "evaluating"
        self.context.emit.stage(stage, f"Answering {len(self.questions)} questions")

        def progress(done: int) -> None:
            self.context.stop.check()
            self._say(stage, done)

        with untouched_chance():
            answers = self.answerer.answer(self.questions, progress)
        return self._score(f"predictions-{when}", answers, metrics)

    def measure_at(self, step: int, best_step: int | None) -> dict[str, float]:
        """Score the model as it is, within an evaluation of the loop.

        Args:
            step: Optimizer step.
            best_step: The best so far; its answers are kept.

        Raises:
            EvaluationCut: A stop was asked for.
        """
        def progress(done: int) -> None:
            if self.context.stop.requested:
                raise EvaluationCut
            self._say("evaluating", done)

        self.said = step, self.answerer.answer(self.questions, progress)
        found = self._score(f"step-{step}", self.said[1], self.metrics)
        self._tidy(step, best_step)
        self.context.emit(ProgressEvent(stage="training", done=0, total=0, unit=""))
        return _named(found)

    def _say(self, stage: Stage, done: int) -> None:
        self.context.emit(ProgressEvent(stage=stage, done=done, total=len(self.questions),
                                        unit="questions"))

    def _score(self, name: str, answers: Sequence[str],
               metrics: Sequence[Metric]) -> list[Scores]:
        """Score answers and write them to ``eval/NAME.jsonl``."""
        found = scoring.score(metrics, as_predictions(self.questions, answers))
        write_predictions(self.context.run.eval / f"{name}.jsonl", self.questions, answers, found)
        shown = "  ".join(f"{one.name} {one.value:.4g}" for one in found)
        print(f"answers ({name}): {shown}", flush=True)
        return found

    def _tidy(self, step: int, best_step: int | None) -> None:
        """Remove older files of answers, and those of steps that a resume has undone."""
        steps = {int(path.stem[5:]): path for path in self.context.run.eval.glob("step-*.jsonl")
                 if path.stem[5:].isdecimal()}
        kept = {best_step, *sorted(one for one in steps if one <= step)[-KEPT:]}
        for one in set(steps) - kept:
            steps[one].unlink(missing_ok=True)


def _exact(wanted: bool) -> list[Metric]:
    return [scoring.make("exact_match")] if wanted else []


def _named(found: Sequence[Scores]) -> dict[str, float]:
    """Return scores by the names of their curves."""
    return {f"eval_{one.name}": one.value for one in found}


def _require_rows(found: Sequence[Scores]) -> None:
    """Refuse a score that no row has anything for."""
    for one in found:
        if math.isnan(one.value):
            raise Failure("no_reference", f"None of the {len(one.rows):,} held-out rows has a "
                          f"reference that '{one.name}' can be computed from.",
                          "Leave that metric out, or name the column of right answers as "
                          "'reference'.")


class Midway:
    """What a loop asks within its evaluations: the scores of generated answers.

    The seconds it takes are added to the loop's totals, which survive a resume.
    """

    def __init__(self, examiner: Examiner, loop: CommittedLoop) -> None:
        """Ask through ``examiner``."""
        self.examiner, self.loop = examiner, loop
        self._every = examiner.context.config.evaluation.generate_steps or 1

    def __call__(self) -> dict[str, float]:
        """Return the scores by the names of their curves; none where answers are not due."""
        state, began = self.loop.state, time.monotonic()
        if not self.examiner.metrics or (
                state.global_step % self._every and state.global_step < state.max_steps):
            return {}
        try:
            return self.examiner.measure_at(state.global_step, self.loop.record.best_step)
        finally:
            self.loop.totals.answer_runtime_s += time.monotonic() - began

    def cost(self) -> dict[str, float | None]:
        """Say what share of the time of training went into answers; returns the seconds."""
        spent, whole = self.loop.totals.answer_runtime_s, self.loop.totals.train_runtime_s
        if not self.examiner.metrics or not spent:
            return {}
        self.examiner.context.emit.choose(
            "evaluation.metrics", f"{min(1.0, spent / max(whole, spent)):.0%} of the time",
            f"answers to {len(self.examiner.questions):,} questions took {spent:.1f} s of the "
            f"{whole:.1f} s of training")
        return {"answer_runtime_s": spent}


def make_sampler(context: Context, examiner: Examiner,
                 splits: Splits) -> Callable[[int], list[SampleEvent]] | None:
    """Return what answers the sample prompts at a step; None without prompts or words.

    What was answered for the scores of that step is not asked again.
    """
    held = splits.questions[:context.config.evaluation.samples]
    if not (splits.fixed or held) or context.config.facts.head:
        return None

    def sample(step: int) -> list[SampleEvent]:
        at, said = examiner.said
        known = said[:len(held)] if at == step else []
        questions = [*splits.fixed, *held[len(known):]]
        with untouched_chance():
            answers = examiner.answerer.answer(questions)
        answers[len(splits.fixed):len(splits.fixed)] = known
        return [SampleEvent(step=step, prompt=q.prompt, reference=q.reference, output=a)
                for q, a in zip([*splits.fixed, *held], answers, strict=True)]

    return sample
