"""From the normal form of a row to what an objective reads of it.

A conversation can be a prompt with its right answer, a preference pair two judged answers, and a
text with a class is that text alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from trainer.contract.config.facts import RowKind
from trainer.data.reading.rows import Row, RowError, listed, shown
from trainer.data.shapes.convert import classified_text, convert
from trainer.data.shapes.mapping import Shape
from trainer.data.shapes.messages import Example
from trainer.data.shapes.objectives import PAIR_KINDS
from trainer.data.shapes.paths import lift


@dataclass(frozen=True)
class Use:
    """What rows of a shape are read as; ``labels`` are the only classes that there are, if given.

    An example of ``labelled`` rows has ``text``, and in ``reference`` the name of its class.
    """

    shape: Shape
    rows: RowKind
    labels: tuple[str, ...] = ()

    @property
    def splits_pairs(self) -> bool:
        """Whether each row is read as two: the chosen answer is desired, the rejected one not."""
        return self.rows == "judged" and self.shape.kind in PAIR_KINDS

    def whole(self, row: Row) -> Example:
        """Return a row in the normal form.

        Raises:
            RowError: Like ``convert``; ``unknown_class`` for a class that is none of ``labels``.
        """
        example = convert(row, self.shape)
        return self._labelled(row, example) if self.rows == "labelled" else example

    def parts(self, example: Example) -> list[Example]:
        """Return what a row in the normal form is read as; one example, or the two of a pair."""
        if self.rows == "prompts" and self.shape.kind != "prompt_only":
            return [as_prompt(example)]
        return judged(example) if self.splits_pairs else [example]

    def _labelled(self, row: Row, example: Example) -> Example:
        mapping = self.shape.mapping
        values = lift(row.values, mapping.paths) if mapping.paths else row.values
        name = example.messages[-1].content
        return Example(example.row, text=classified_text(values, mapping),
                       reference=self._class(name) if self.labels else name)

    def _class(self, name: str) -> str:
        """Return the label that a class is named by, or counted by from 0."""
        if name in self.labels:
            return name
        if name.isdecimal() and int(name) < len(self.labels):
            return self.labels[int(name)]
        column = self.shape.mapping.columns.label or ""
        raise RowError("unknown_class", column, f"has the class {shown(name)} in '{column}'; the "
                       f"classes are {listed(list(self.labels))}")


def as_prompt(example: Example) -> Example:
    """Return a conversation as what stands before its last answer, which is the reference."""
    *prompt, answer = example.messages
    said = answer.content or json.dumps(answer.tool_calls, ensure_ascii=False)
    return replace(example, messages=prompt, reference=said)


def judged(example: Example) -> list[Example]:
    """Return a preference pair as a desired and an undesired answer."""
    return [Example(example.row, [*example.messages, *answer], example.tools, label=label,
                    remarks=example.remarks)
            for answer, label in ((example.chosen, True), (example.rejected, False))]
