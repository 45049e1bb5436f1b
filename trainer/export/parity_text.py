"""A parity report as Markdown: a table of what was compared, then where it differs and why."""

from __future__ import annotations

from collections.abc import Iterator

from trainer.export.card import escape
from trainer.export.parity_report import (
    ArtefactReport,
    Candidate,
    Divergence,
    ParityReport,
    PromptResult,
    SideReport,
)

_LONGEST = 60


def markdown(report: ParityReport, level: int) -> str:
    """Return a report as a section that begins with a heading of that level."""
    lines = [f"{'#' * level} Is it the same model?\n", _intro(report), *_table(report)]
    for artefact in report.artefacts:
        for side in artefact.sides:
            lines += _details(artefact, side)
    return "\n".join(lines).rstrip() + "\n"


def _intro(report: ParityReport) -> str:
    what = f"run {escape(report.run)}" + (f", {escape(report.checkpoint)}" if report.checkpoint
                                          else "")
    notes = "".join(f" {escape(note)}" for note in report.notes)
    return (f"Compared with what was trained ({what}; {escape(report.reference)}): "
            f"{report.prompts} prompts from {escape(report.prompts_from)}, answered greedily with "
            f"up to {report.max_new_tokens} tokens.{notes} Distance is that of the "
            "log-probability of each token of the trained model's answers.\n")


def _table(report: ParityReport) -> Iterator[str]:
    yield "| artefact | used by | verdict | prompts | answers | mean distance | largest |"
    yield "|---|---|---|---|---|---|---|"
    for artefact in report.artefacts:
        for side in artefact.sides:
            counts = ["", ""] if side.verdict == "not run" or not side.prompts else [
                f"{count} of {len(side.prompts)}"
                for count in (side.prompts_same, side.answers_same)]
            cells = [escape(f"{artefact.kind} {artefact.format}".strip()),
                     escape(f"{side.program} {side.version}".strip()), f"**{side.verdict}**",
                     *counts, _number(side.mean), _number(side.largest)]
            yield f"| {' | '.join(cells)} |"
    yield ""


def _details(artefact: ArtefactReport, side: SideReport) -> Iterator[str]:
    parted = [one for one in side.prompts if one.prompt or one.answer]
    if not side.reasons and not parted:
        return
    yield f"{escape(artefact.name)}, {escape(side.program)}: {side.verdict}.\n"
    for reason in side.reasons:
        yield f"- {escape(reason)}"
    if side.verdict == "not run" and side.advice:
        yield f"- To have it checked: {code(side.advice)}"
    for one in parted:
        yield f"- {_parting(one)}"
    yield ""


def _parting(one: PromptResult) -> str:
    asked = code(one.text)
    if one.prompt:
        return (f"{asked}: the prompts part at token {one.prompt.at}: "
                f"{code(one.prompt.reference)} became {code(one.prompt.artefact)}")
    assert one.answer is not None
    return f"{asked}: {_divergence(one.answer)}"


def _divergence(found: Divergence) -> str:
    if found.artefact is None:
        return f"the artefact's answer ends before token {found.at}"
    if found.reference is None:
        return (f"the artefact goes on at token {found.at}, where the trained model ends, with "
                f"{code(found.artefact.text)}")
    kind = "a near tie" if found.explained else "no near tie"
    margin = "" if found.margin is None else f", {found.margin:.3f} apart"
    return (f"token {found.at}: {_candidate(found.reference)} became "
            f"{_candidate(found.artefact)} - {kind}{margin}")


def _candidate(token: Candidate) -> str:
    here, there = (_number(value) or "not among the best"
                   for value in (token.by_reference, token.by_artefact))
    return f"{code(token.text)} (trained {here}, artefact {there})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def code(text: str) -> str:
    """Return text as Markdown code on one line, shortened, whatever it holds."""
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    plain = "".join(letter if letter.isprintable() else
                    letter.encode("unicode_escape").decode("ascii") for letter in shown)
    return f"`` {plain.replace('`', chr(0x2019)).replace('|', chr(0xA6))} ``"
