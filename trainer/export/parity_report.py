"""What a parity check found: of each artefact, by each program that uses it, prompt by prompt."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

Verdict = Literal["same", "close", "different", "not run"]
# From good to bad; what was not run says nothing of the artefact.
_ORDER: tuple[Verdict, ...] = ("not run", "same", "close", "different")


class Candidate(BaseModel):
    """A token that one side takes, and how likely each side finds it; None: not among its best."""

    id: int
    text: str
    by_reference: float | None = None
    by_artefact: float | None = None


class Divergence(BaseModel):
    """The first token at which two answers part; ``at`` counts from 0.

    ``artefact`` is None where the artefact ends and the trained model goes on, ``reference`` where
    it is the other way round. ``margin`` is how much likelier the trained model finds its own
    token. ``explained``: it is no more than the format's rounding.
    """

    at: int
    reference: Candidate | None = None
    artefact: Candidate | None = None
    margin: float | None = None
    explained: bool = False


class PromptDifference(BaseModel):
    """The first token at which two prompts part, with the text of both from there on."""

    at: int
    reference: str
    artefact: str


class PromptResult(BaseModel):
    """One prompt: where prompt and answer part, and how far the trained answer's tokens are."""

    text: str
    reference: str
    artefact: str
    prompt: PromptDifference | None = None
    answer: Divergence | None = None
    mean: float | None = None
    largest: float | None = None
    tokens: int = 0


class SideReport(BaseModel):
    """An artefact as one program uses it."""

    program: str
    version: str = ""
    computes: str = ""
    verdict: Verdict
    reasons: list[str] = []
    advice: str = ""
    mean: float | None = None
    largest: float | None = None
    bound: dict[str, float | str] = {}
    prompts: list[PromptResult] = []

    @property
    def prompts_same(self) -> int:
        """How many prompts have the same tokens."""
        return sum(one.prompt is None for one in self.prompts)

    @property
    def answers_same(self) -> int:
        """How many answers have the same tokens."""
        return sum(one.answer is None for one in self.prompts)


class ArtefactReport(BaseModel):
    """One artefact; ``name`` is its file's or folder's, without the path."""

    kind: str
    format: str
    name: str
    sides: list[SideReport]

    @property
    def verdict(self) -> Verdict:
        """The worst that any program says."""
        return worst([side.verdict for side in self.sides])


class ParityReport(BaseModel):
    """All of a check. ``notes`` are about the reference; ``prompts_from`` says whose they are."""

    run: str
    checkpoint: str = ""
    reference: str
    notes: list[str] = []
    prompts_from: str
    prompts: int
    max_new_tokens: int
    artefacts: list[ArtefactReport]

    @property
    def verdict(self) -> Verdict:
        """The worst of all artefacts."""
        return worst([artefact.verdict for artefact in self.artefacts])

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, with the verdicts of artefacts and of the whole."""
        values = self.model_dump(mode="json")
        for artefact, document in zip(self.artefacts, values["artefacts"], strict=True):
            document["verdict"] = artefact.verdict
            for side, one in zip(artefact.sides, document["sides"], strict=True):
                one |= {"prompts_same": side.prompts_same, "answers_same": side.answers_same}
        return {"version": 1, "verdict": self.verdict, **values}

    def to_markdown(self, level: int = 2) -> str:
        """Return it as a section that begins with a heading of that level."""
        from trainer.export.parity_text import markdown

        return markdown(self, level)


def worst(verdicts: list[Verdict]) -> Verdict:
    """Return the worst verdict; 'not run' only when nothing was run."""
    return max(verdicts, key=_ORDER.index, default="not run")
