"""How one example of each kind of rows becomes tokens: what is rendered, and how it is fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.contract.config.facts import RowKind
from trainer.data.shapes.messages import Example, Message
from trainer.data.templates.chat import ChatTemplate, Rendered
from trainer.data.templates.limits import LimitedTemplate
from trainer.data.tokens.fit import (
    Asked,
    Edges,
    Fitted,
    FittedRow,
    Overlong,
    fit_answer,
    fit_pair,
    fit_prompt,
    fit_row,
    fit_text,
)
from trainer.data.tokens.tokenizer import TokenizedRow, Tokenizer, all_trained


@dataclass(frozen=True)
class Encoder:
    """One model's tokenizer and template with the settings of a run.

    ``train_on_prompt``: everything is learned; ``mask_history``: only the last answer is.
    Plain text needs no template; ``edges`` are the tokens before and after it.
    """

    tokenizer: Tokenizer
    template: ChatTemplate | LimitedTemplate | None
    max_length: int
    overlong: Overlong = "cut_turns"
    rows: RowKind = "turns"
    train_on_prompt: bool = False
    mask_history: bool = False
    edges: Edges = ((), ())

    def texts(self, example: Example) -> list[Rendered]:
        """Render what has to be encoded: a conversation, or a prompt, or it with each answer.

        Raises:
            TemplateError: The template refuses the conversation.
        """
        return self._rendered(example, example.messages)

    def fit(self, example: Example, texts: Sequence[Rendered],
            rows: Sequence[TokenizedRow]) -> Fitted | None:
        """Make what is encoded short enough; fewer turns are rendered again only where needed.

        ``cut_turns`` leaves out whole turns from the front (the system message stays), up to the
        last user's turn; then the tail of the last answer, never its beginning; of a text with a
        class the tail. ``drop`` leaves out the example. Plain text is never cut here, see
        ``pretrain``.

        Args:
            example: What is to be learned from.
            texts: What ``texts`` made of it.
            rows: The same as tokens.

        Returns:
            None when it is dropped: told to, or its prompt alone is too long.

        Raises:
            TemplateError: The template refuses fewer turns.
        """
        longest, overlong = self.max_length, self.overlong
        if self.rows == "text":
            before, after = self.edges
            return FittedRow(example.row, all_trained([*before, *rows[0].input_ids, *after]))
        if self.rows == "labelled":
            return fit_text(example, rows[0].input_ids, self.edges, max_length=longest,
                            overlong=overlong)
        if self.rows == "pairs":
            return fit_pair(example, (rows[0], rows[1]), lambda m: self._pair(example, m),
                            max_length=longest, overlong=overlong)
        if self.rows == "prompts":
            return fit_prompt(example, (texts[0].text, rows[0]),
                              lambda m: self._asked(example, m), max_length=longest,
                              overlong=overlong)
        fit = fit_answer if self.rows == "judged" else fit_row
        return fit(example, rows[0], lambda m: self._encode(example, m)[0],
                   max_length=longest, overlong=overlong)

    def encode(self, example: Example) -> Fitted | None:
        """Render, encode and fit one example; None when it is dropped.

        Raises:
            TemplateError: The template refuses the conversation.
        """
        texts = self.texts(example)
        return self.fit(example, texts, self.tokenizer.encode_many(texts))

    def _encode(self, example: Example, messages: list[Message]) -> list[TokenizedRow]:
        return self.tokenizer.encode_many(self._rendered(example, messages))

    def _pair(self, example: Example,
              prompt: list[Message]) -> tuple[TokenizedRow, TokenizedRow]:
        chosen, rejected = self._encode(example, prompt)
        return chosen, rejected

    def _asked(self, example: Example, prompt: list[Message]) -> Asked:
        rendered = self._rendered(example, prompt)[0]
        return rendered.text, self.tokenizer.encode(rendered)

    def _rendered(self, example: Example, messages: list[Message]) -> list[Rendered]:
        if self.template is None:
            return [self.tokenizer.plain(example.text)]
        render, tools = self.template, example.tools
        if self.rows == "pairs":
            return [render.render_answer(messages, answer, tools)
                    for answer in (example.chosen, example.rejected)]
        if self.rows == "prompts":
            return [render.render(messages, tools, add_generation_prompt=True)]
        if self.rows == "judged":
            return [render.render_answer(messages[:-1], messages[-1:], tools)]
        return [render.render(messages, tools, train_on_prompt=self.train_on_prompt,
                              mask_history=self.mask_history)]


def is_cut(fitted: Fitted) -> bool:
    """Tell whether anything was left out."""
    return bool(fitted.cut_turns or fitted.cut_tokens)
