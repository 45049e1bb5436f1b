"""What a judge will cost, before it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.contract.kinds.evaluate import JudgeConfig
from trainer.contract.rubrics import rubric_of

# English; Chinese has one or two characters to a token, so that it takes more.
CHARS_PER_TOKEN = 4
# What is said around rubric and texts: the task, the rules, the marks, the form of the verdict.
FRAME_CHARS = 1300


@dataclass(frozen=True)
class JudgeCost:
    """What is going to be asked.

    Attributes:
        calls: Questions to the judge; replies that cannot be read are asked for once more.
        tokens_in: Read by the judge, about.
        tokens_out: Written, at most.
        cost: In the currency of the prices; None without any.
        reason: How it comes about, in words.
    """

    calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    reason: str


def estimate(config: JudgeConfig, rows: Sequence[int], prompt_chars: float, answer_chars: float,
             *, models: int, votes: int = 0) -> JudgeCost:
    """Return what a judge will be asked and what that costs. Pure arithmetic.

    Args:
        config: Of the judge; without a model nothing is asked.
        rows: Of each dataset.
        prompt_chars: Of a question with its reference, on average.
        answer_chars: Of an answer, on average.
        models: How many answer.
        votes: People's votes that the judge is held against.
    """
    pairwise = config.mode == "pairwise"
    each, shown = (2 if config.swap else 1, 2) if pairwise else (1, 1)
    counted = sum(_limited(one, config.limit) for one in rows)
    asked = counted * (models - 1 if pairwise else models)
    of_votes = _limited(votes, config.limit) * (each if pairwise else 2)
    calls = asked * each + of_votes if config.model else 0
    chars = FRAME_CHARS + len(rubric_of(config.rubric).text) + prompt_chars + shown * answer_chars
    tokens_in = round(calls * chars / CHARS_PER_TOKEN)
    tokens_out = calls * config.max_new_tokens
    return JudgeCost(calls, tokens_in, tokens_out, cost_of(config, tokens_in, tokens_out),
                     _reason(config, counted, models, of_votes))


def cost_of(config: JudgeConfig, tokens_in: int, tokens_out: int) -> float | None:
    """Return what tokens cost; None when the config has no price."""
    if config.price_in is None and config.price_out is None:
        return None
    return (tokens_in * (config.price_in or 0) + tokens_out * (config.price_out or 0)) / 1e6


def _limited(rows: int, limit: int | None) -> int:
    return rows if limit is None else min(rows, limit)


def _reason(config: JudgeConfig, rows: int, models: int, of_votes: int) -> str:
    if not config.model:
        return "No judge is named, so that none is asked."
    if config.mode == "score":
        asked = f"{rows:,} rows of {models} models, once each"
    else:
        orders = "in both orders" if config.swap else "in one order"
        asked = f"{rows:,} rows of {models - 1} models beside the first, {orders}"
    voted = f"; {of_votes:,} questions about people's votes" if of_votes else ""
    return (f"{asked}{voted}. Read: about {CHARS_PER_TOKEN} characters a token, which is English; "
            f"Chinese takes two to four times as many. Written: at most {config.max_new_tokens:,} "
            "tokens a reply, mostly fewer. Replies that cannot be read are asked for once more; "
            "answers that are the same are not asked about.")
