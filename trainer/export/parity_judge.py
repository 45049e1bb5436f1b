"""What two sides said, compared token by token. Pure: no model, no library."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from trainer.export.parity_bounds import Bound
from trainer.export.parity_report import (
    Candidate,
    Divergence,
    PromptDifference,
    PromptResult,
    Verdict,
)

# How many of the likeliest tokens are kept of each place.
TOP = 20
Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True)
class Said:
    """What a side makes of one prompt.

    Attributes:
        prompt: The tokens of its own tokenizer and template.
        answer: Its greedy answer, with the token that ends it, if it did.
        logprobs: Of each token of the trained model's answer, after the trained model's prompt.
        top: The likeliest tokens at each of these places, with their log-probabilities.
        error: Why there is no prompt.
    """

    prompt: Sequence[int]
    answer: Sequence[int] = ()
    logprobs: Sequence[float] = ()
    top: Sequence[Mapping[int, float]] = ()
    error: str = ""


@dataclass(frozen=True)
class Reference:
    """What the trained model says; ``ends`` are the tokens that end its answers."""

    texts: Sequence[str]
    said: Sequence[Said]
    ends: tuple[int, ...]
    decode: Decode = field(repr=False)


@dataclass(frozen=True)
class Judgement:
    """The verdict on a side, with its reasons."""

    verdict: Verdict
    reasons: list[str]
    prompts: list[PromptResult]
    mean: float | None
    largest: float | None


def judge(reference: Reference, side: Sequence[Said], ends: Sequence[int],
          bound: Bound) -> Judgement:
    """Compare a side with the trained model.

    Args:
        reference: The trained model.
        side: What the artefact said to the same prompts.
        ends: Tokens that end an answer there.
        bound: What the artefact's format may do.
    """
    results = [_compare(reference, index, one, bound) for index, one in enumerate(side)]
    distances = [distance for mine, yours in zip(reference.said, side, strict=True)
                 for distance in _distances(mine, yours)]
    mean = math.fsum(distances) / len(distances) if distances else None
    largest = max(distances, default=None)
    reasons = [*_of_prompts(results, side), *_of_ends(reference, ends), *_of_answers(results),
               *_of_distance(mean, largest, bound)]
    same = all(one.answer is None for one in results)
    verdict: Verdict = "different" if reasons else "same" if same else "close"
    if verdict == "close":
        count = sum(one.answer is not None for one in results)
        reasons = [f"{count} of {len(results)} answers take another word where the trained model "
                   "finds both about as likely."]
    return Judgement(verdict, reasons, results, _finite(mean), _finite(largest))


def _compare(reference: Reference, index: int, side: Said, bound: Bound) -> PromptResult:
    mine, distances = reference.said[index], _distances(reference.said[index], side)
    prompt = _prompt_difference(mine.prompt, side.prompt, reference.decode)
    if side.error:
        prompt = PromptDifference(at=0, reference=reference.decode(mine.prompt[:8]),
                                  artefact=side.error)
    answer = _divergence(reference, mine, side, bound, is_comparable=prompt is None)
    return PromptResult(
        text=reference.texts[index], reference=reference.decode(mine.answer),
        artefact=reference.decode(side.answer), prompt=prompt, answer=answer,
        mean=_finite(math.fsum(distances) / len(distances)) if distances else None,
        largest=_finite(max(distances, default=None)), tokens=len(distances))


def _distances(mine: Said, yours: Said) -> list[float]:
    """Return how far the log-probabilities of each token are apart; NaN is infinitely far."""
    pairs = zip(mine.logprobs, yours.logprobs, strict=False)
    found = [abs(a - b) for a, b in pairs]
    return [math.inf if math.isnan(distance) else distance for distance in found]


def _prompt_difference(mine: Sequence[int], yours: Sequence[int],
                       decode: Decode) -> PromptDifference | None:
    at = first_difference(mine, yours)
    if at is None:
        return None
    return PromptDifference(at=at, reference=decode(mine[at:at + 8]),
                            artefact=decode(yours[at:at + 8]))


def first_difference(mine: Sequence[int], yours: Sequence[int]) -> int | None:
    """Return the first place where two lists part, None when they are the same."""
    for at, (one, other) in enumerate(zip(mine, yours, strict=False)):
        if one != other:
            return at
    return None if len(mine) == len(yours) else min(len(mine), len(yours))


def _divergence(reference: Reference, mine: Said, side: Said, bound: Bound, *,
                is_comparable: bool) -> Divergence | None:
    """Return where two answers part; after different prompts nothing explains it."""
    at = first_difference(mine.answer, side.answer)
    if at is None:
        return None
    one, other = (_candidate(reference.decode, said, at, mine, side)
                  for said in (mine, side))
    found = Divergence(at=at, reference=one, artefact=other)
    if one is None or other is None or one.by_reference is None or other.by_reference is None:
        return found
    found.margin = one.by_reference - other.by_reference
    found.explained = is_comparable and found.margin <= bound.tie
    return found


def _candidate(decode: Decode, said: Said, at: int, mine: Said, side: Said) -> Candidate | None:
    """Describe the token that a side takes at a place; None where its answer has ended."""
    if at >= len(said.answer):
        return None
    token = said.answer[at]
    return Candidate(id=token, text=decode([token]), by_reference=_likely(mine, at, token),
                     by_artefact=_likely(side, at, token))


def _likely(side: Said, at: int, token: int) -> float | None:
    return _finite(side.top[at].get(token)) if at < len(side.top) else None


def _of_prompts(results: Sequence[PromptResult], side: Sequence[Said]) -> Iterator[str]:
    parted = [one for one in results if one.prompt]
    if not parted:
        return
    errors = [one.error for one in side if one.error]
    if errors:
        yield f"{len(errors)} of {len(results)} prompts cannot be made: {errors[0]}"
    if len(parted) > len(errors):
        yield (f"{len(parted) - len(errors)} of {len(results)} prompts become other tokens: "
               "tokenizer or chat template is not the one of training.")


def _of_ends(reference: Reference, ends: Sequence[int]) -> Iterator[str]:
    missing = [token for token in reference.ends if token not in ends]
    if missing:
        names = ", ".join(reference.decode([token]) for token in missing)
        yield f"Answers do not end at {names}, as they do in training."


def _of_answers(results: Sequence[PromptResult]) -> Iterator[str]:
    flagged = [one.answer for one in results if one.answer and not one.answer.explained
               and not one.prompt]
    if flagged:
        margins = [one.margin for one in flagged if one.margin is not None]
        sure = f", by up to {max(margins):.3f}" if margins else ""
        yield (f"{len(flagged)} of {len(results)} answers take another word where the trained "
               f"model is surer than this format's rounding explains{sure}.")


def _of_distance(mean: float | None, largest: float | None, bound: Bound) -> Iterator[str]:
    if mean is None or largest is None:
        yield "No token could be compared."
    elif not math.isfinite(largest):
        yield "Some probabilities are no numbers."
    elif mean > bound.mean or largest > bound.largest:
        yield (f"The distance (mean {mean:.4f}, largest {largest:.4f}) is beyond what this format "
               f"does ({bound.mean:g} and {bound.largest:g}).")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
