"""How one example of each objective becomes tokens: what is rendered, and how it is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trainer.data.shapes.messages import Example, Message
from trainer.data.templates.chat import ChatTemplate, Rendered
from trainer.data.templates.limits import LimitedTemplate
from trainer.data.tokens.fit import Fitted, FittedRow, Overlong, fit_answer, fit_pair, fit_row
from trainer.data.tokens.tokenizer import TokenizedRow, Tokenizer, all_trained

Objective = Literal["sft", "dpo", "kto", "pretrain"]


@dataclass(frozen=True)
class Encoder:
    """One model's tokenizer and template with the settings of a run.

    ``train_on_prompt``: everything is learned; ``mask_history``: only the last answer is.
    Plain text (``pretrain``) needs no template; ``edges`` are the tokens before and after it.
    """

    tokenizer: Tokenizer
    template: ChatTemplate | LimitedTemplate | None
    max_length: int
    overlong: Overlong = "cut_turns"
    objective: Objective = "sft"
    train_on_prompt: bool = False
    mask_history: bool = False
    edges: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    def texts(self, example: Example) -> list[Rendered]:
        """Render what has to be encoded: a conversation, or a prompt with each of its answers.

        Raises:
            TemplateError: The template refuses the conversation.
        """
        return self._rendered(example, example.messages)

    def fit(self, example: Example, rows: Sequence[TokenizedRow]) -> Fitted | None:
        """Make what is encoded short enough; fewer turns are rendered again only where needed.

        ``cut_turns`` leaves out whole turns from the front (the system message stays), up to the
        last user's turn; then the tail of the last answer, never its beginning. ``drop`` leaves
        out the example. Plain text is never cut here, see ``pretrain``.

        Returns:
            None when it is dropped: told to, or its prompt alone is too long.

        Raises:
            TemplateError: The template refuses fewer turns.
        """
        if self.objective == "dpo":
            return fit_pair(example, (rows[0], rows[1]), lambda m: self._pair(example, m),
                            max_length=self.max_length, overlong=self.overlong)
        if self.objective == "kto":
            return fit_answer(example, rows[0], lambda m: self._encode(example, m)[0],
                              max_length=self.max_length, overlong=self.overlong)
        if self.objective == "pretrain":
            before, after = self.edges
            return FittedRow(example.row, all_trained([*before, *rows[0].input_ids, *after]))
        return fit_row(example, rows[0], lambda m: self._encode(example, m)[0],
                       max_length=self.max_length, overlong=self.overlong)

    def encode(self, example: Example) -> Fitted | None:
        """Render, encode and fit one example; None when it is dropped.

        Raises:
            TemplateError: The template refuses the conversation.
        """
        return self.fit(example, self._encode(example, example.messages))

    def _encode(self, example: Example, messages: list[Message]) -> list[TokenizedRow]:
        return self.tokenizer.encode_many(self._rendered(example, messages))

    def _pair(self, example: Example,
              prompt: list[Message]) -> tuple[TokenizedRow, TokenizedRow]:
        chosen, rejected = self._encode(example, prompt)
        return chosen, rejected

    def _rendered(self, example: Example, messages: list[Message]) -> list[Rendered]:
        if self.template is None:
            return [self.tokenizer.plain(example.text)]
        render, tools = self.template, example.tools
        if self.objective == "dpo":
            return [render.render_answer(messages, answer, tools)
                    for answer in (example.chosen, example.rejected)]
        if self.objective == "kto":
            return [render.render_answer(messages[:-1], messages[-1:], tools)]
        return [render.render(messages, tools, train_on_prompt=self.train_on_prompt,
                              mask_history=self.mask_history)]


def is_cut(fitted: Fitted) -> bool:
    """Tell whether anything was left out."""
    return bool(fitted.cut_turns or fitted.cut_tokens)
