"""What the model is asked while it trains: held-out prompts, and what was to be said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from trainer.contract.config import RowKind, RunConfig
from trainer.data.shapes.messages import Example, Message, question_of
from trainer.data.shapes.uses import Use
from trainer.evaluate import Question
from trainer.failures import Failure

if TYPE_CHECKING:
    from trainer.prompts import Prompter
    from trainer.tokens import Rows, TokenSet

BEGINNING = 24


def make_questions(config: RunConfig, held: Rows, prompter: Prompter,
                   tokenizer: Any) -> list[Question]:
    """Return the first held-out prompts, with the right answers, in the order of the rows.

    Raises:
        TemplateError: The chat template refuses one of them.
        Failure: ``no_reference``: answers are to be compared, and none is known to be right.
    """
    evaluation = config.evaluation
    if config.facts.rows == "labelled":
        return []
    wanted = evaluation.samples
    if evaluation.exact_match or evaluation.metrics:
        wanted = len(held) if evaluation.limit is None else max(wanted, evaluation.limit)
    chosen = held.pick([group[0] for group in held.groups()[:wanted]])
    if not len(chosen):
        return []
    if config.facts.rows == "text":
        return _beginnings(chosen, tokenizer, evaluation.max_new_tokens)
    found = _prompts(config, chosen, prompter)
    if evaluation.exact_match and not any(one.reference for one in found):
        raise Failure("no_reference", f"Exact match needs right answers, and none of the "
                      f"{len(held):,} held-out rows has one.",
                      "Name the column that has them as 'reference', or switch exact match off.")
    return found


def make_fixed(config: RunConfig, prompter: Prompter, tokenizer: Any) -> list[Question]:
    """Return the user's own questions; they have no right answer and count nowhere.

    Raises:
        TemplateError: The chat template refuses one of them.
    """
    texts = config.evaluation.prompts
    if not texts or config.facts.head:
        return []
    if config.facts.rows == "text":
        ids = [tokenizer.encode(text) for text in texts]
    else:
        ids = prompter.encode([{"messages": [{"role": "user", "content": text}], "tools": None}
                               for text in texts])
    return [Question(0, "", text, "", one) for text, one in zip(texts, ids, strict=True)]


def _beginnings(rows: Rows, tokenizer: Any, answer_tokens: int) -> list[Question]:
    """Return the beginnings of plain texts, to be gone on with."""
    found = []
    table, numbers, owners = rows.dataset(), rows.numbers("row"), rows.owners()
    for index, number in enumerate(numbers):
        ids = table[index]["input_ids"]
        cut = min(BEGINNING, max(1, len(ids) // 2))
        prompt, rest = (tokenizer.decode(part, skip_special_tokens=True)
                        for part in (ids[:cut], ids[cut:cut + answer_tokens]))
        found.append(Question(number, rows.sets[owners[index]].name, prompt, rest, ids[:cut]))
    return found


def _prompts(config: RunConfig, rows: Rows, prompter: Prompter) -> list[Question]:
    """Return the prompts of conversations, rendered all at once."""
    numbers, owners = rows.numbers("row"), rows.owners()
    found = [_examples(one, {n for n, owner in zip(numbers, owners, strict=True)
                             if owner == index}) for index, one in enumerate(rows.sets)]
    examples = [found[owner][number] for number, owner in zip(numbers, owners, strict=True)]
    parts = [prompt_and_answer(example, config.facts.rows) for example in examples]
    rendered = prompter.render([
        {"messages": [message.document() for message in prompt], "tools": example.tools}
        for example, (prompt, _) in zip(examples, parts, strict=True)])
    return [Question(example.row, rows.sets[owner].name, question_of(prompt, text["text"]),
                     answer, text["input_ids"])
            for example, owner, (prompt, answer), text
            in zip(examples, owners, parts, rendered, strict=True)]


def prompt_and_answer(example: Example, rows: RowKind) -> tuple[Sequence[Message], str]:
    """Return (prompt, right answer); what is not desired is not shown as right."""
    if rows == "prompts":
        return example.messages, example.reference
    if example.chosen:
        return example.messages, example.chosen[-1].content
    prompt, answer = example.messages[:-1], example.messages[-1].content
    return prompt, "" if example.label is False else answer


def _examples(one: TokenSet, wanted: set[int]) -> dict[int, Example]:
    """Read some rows of a dataset again, by their numbers."""
    from trainer.data.checking.check import convert_rows

    if not wanted:
        return {}
    spec = one.request.data.spec()
    found: dict[int, Example] = {}
    shape = one.request.data.shape(spec)
    use = Use(shape, one.request.rows)
    for item in convert_rows(spec, shape):
        if isinstance(item, Example) and item.row in wanted:
            found[item.row] = item if use.splits_pairs else use.parts(item)[0]
            if len(found) == len(wanted):
                break
    return found
