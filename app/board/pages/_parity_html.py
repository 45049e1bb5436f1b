"""A parity report as HTML: who says the same as the trained model, who could not be asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.board import icons
from app.board.i18n import has, reason_text, t
from app.board.pages._parts import card, paragraph, text

Side = Mapping[str, Any]
_ICONS = {"same": icons.CHECK, "close": icons.CHECK, "different": icons.WARN}


def parity(locale: str, report: Mapping[str, Any] | None) -> str:
    """Return a report's table, what was asked, and what could not be; '' without a report.

    Args:
        locale: Language.
        report: As in parity.json.
    """
    artefacts = report["artefacts"] if report else []
    asked = [(one, side) for one in artefacts for side in one["sides"]
             if side["verdict"] != "not run"]
    lacking = [(one, side) for one in artefacts for side in one["sides"]
               if side["verdict"] == "not run"]
    if not asked and not lacking:
        return ""
    assert report is not None
    lead = "".join(paragraph(words, "f-parity-lead") for words in _lead(locale, report))
    return card(t(locale, "parity.title"), lead + _table(locale, asked)
                + "".join(_details(locale, one, side) for one, side in asked)
                + _lacking(locale, lacking), kind="f-parity", element_id="run-parity-card")


def _lead(locale: str, report: Mapping[str, Any]) -> Iterator[str]:
    if report["prompts"]:
        yield t(locale, "parity.lead", n=report["prompts"],
                source=reason_text(locale, report["prompts_from"]),
                tokens=report["max_new_tokens"],
                reference=reason_text(locale, report["reference"]))
    yield from (reason_text(locale, one) for one in report["notes"])


def chip(locale: str, verdict: str) -> str:
    """Return a verdict as a coloured chip with words."""
    kind = verdict.replace(" ", "")
    return (f'<span class="f-chip f-verdict f-{text(kind)}-verdict" data-verdict="{text(kind)}">'
            f'{_ICONS.get(verdict, "")}{text(t(locale, f"parity.{kind}"))}</span>')


def _table(locale: str, asked: Sequence[tuple[Mapping[str, Any], Side]]) -> str:
    if not asked:
        return ""
    heads = "".join(f'<th scope="col">{text(t(locale, f"parity.head.{key}"))}</th>' for key in (
        "format", "program", "verdict", "prompts", "answers", "distance"))
    rows = "".join(_row(locale, one, side) for one, side in asked)
    return (f'<div class="f-scroll" tabindex="0"><table class="f-grid"><thead><tr>{heads}</tr>'
            f"</thead><tbody>{rows}</tbody></table></div>")


def format_of(artefact: Mapping[str, Any]) -> str:
    """Return an artefact's format as an export's config names it; a report has its rounding."""
    kind, name = str(artefact["kind"]), str(artefact["format"])
    if kind == "gguf":
        return name if name.startswith("gguf-") else f"gguf-{name}"
    return name if kind == "quantized" else kind


def format_words(locale: str, artefact: Mapping[str, Any]) -> str:
    """Return what an artefact's format is called."""
    name = format_of(artefact)
    return t(locale, f"format.{name}") if has(f"format.{name}") else name


def _row(locale: str, artefact: Mapping[str, Any], side: Side) -> str:
    asked = len(side["prompts"])
    prompts, answers = (_of(locale, side[key], asked) for key in ("prompts_same", "answers_same"))
    computes = f'<small>{text(side["computes"])}</small>' if side.get("computes") else ""
    version = f' <span class="f-dim">{text(side["version"])}</span>' if side.get("version") else ""
    return (f'<tr data-format="{text(format_of(artefact))}" data-program="{text(side["program"])}">'
            f'<td>{text(format_words(locale, artefact))}</td>'
            f'<td>{text(side["program"])}{version}{computes}</td>'
            f"<td>{chip(locale, side['verdict'])}</td><td>{prompts}</td><td>{answers}</td>"
            f"<td>{_distance(locale, side)}</td></tr>")


def _of(locale: str, same: int, asked: int) -> str:
    return text(t(locale, "parity.of", n=same, total=asked)) if asked else "—"


def _distance(locale: str, side: Side) -> str:
    if side["mean"] is None:
        return "—"
    if side["largest"] is None:
        return f'{side["mean"]:.4f}'
    largest = t(locale, "parity.largest", value=f"{side['largest']:.4f}")
    return f'{side["mean"]:.4f}<small>{text(largest)}</small>'


def _details(locale: str, artefact: Mapping[str, Any], side: Side) -> str:
    """Return why a side got its verdict, and every prompt with both answers."""
    reasons = "".join(f"<li>{text(reason_text(locale, one))}</li>" for one in side["reasons"])
    told = f"<ul>{reasons}</ul>" if reasons else ""
    if not side["prompts"]:
        return f'<div class="f-parity-more">{told}</div>' if told else ""
    words = t(locale, "parity.more", format=format_words(locale, artefact),
              program=side["program"], n=len(side["prompts"]))
    body = "".join(_asked(locale, one) for one in side["prompts"])
    return (f'<div class="f-parity-more">{told}<details><summary>{text(words)}</summary>'
            f"{body}</details></div>")


def _asked(locale: str, one: Mapping[str, Any]) -> str:
    if one["answer"] is None:
        both = (f"<dt>{text(t(locale, 'parity.both'))}</dt>"
                f"<dd>{_answer(locale, one['reference'])}</dd>")
    else:
        both = "".join(f"<dt>{text(t(locale, f'parity.{key}'))}</dt>"
                       f"<dd>{_marked(locale, one, key)}</dd>"
                       for key in ("reference", "artefact"))
    parts = "".join(f"<p>{text(words)}</p>" for words in _parted(locale, one))
    return f'<div class="f-asked"><b>{text(one["text"])}</b><dl>{both}</dl>{parts}</div>'


def _answer(locale: str, words: str) -> str:
    return text(words) if words.strip() else (
        f'<span class="f-dim">{text(t(locale, "samples.empty"))}</span>')


def _marked(locale: str, one: Mapping[str, Any], key: str) -> str:
    """Return an answer with everything marked from where it parts from the other."""
    words, other = one[key], one["artefact" if key == "reference" else "reference"]
    at = next((place for place, (a, b) in enumerate(zip(words, other, strict=False)) if a != b),
              min(len(words), len(other)))
    rest = words[at:]
    if not rest.strip():
        return _answer(locale, words)
    return f"{text(words[:at])}<mark>{text(rest)}</mark>"


def _parted(locale: str, one: Mapping[str, Any]) -> Iterator[str]:
    if prompt := one["prompt"]:
        yield t(locale, "parity.prompt_parts", at=prompt["at"], reference=prompt["reference"],
                artefact=prompt["artefact"])
    answer = one["answer"]
    if answer is None:
        return
    if answer["artefact"] is None:
        yield t(locale, "parity.ends_early", at=answer["at"])
    elif answer["reference"] is None:
        yield t(locale, "parity.goes_on", at=answer["at"])
    else:
        key = "parity.near" if answer["explained"] else "parity.surer"
        margin = "?" if answer["margin"] is None else f"{answer['margin']:.3f}"
        yield t(locale, key, at=answer["at"], reference=answer["reference"]["text"],
                artefact=answer["artefact"]["text"], margin=margin)


def _lacking(locale: str, lacking: Sequence[tuple[Mapping[str, Any], Side]]) -> str:
    """Return what nobody could ask, with the command that would make it possible."""
    if not lacking:
        return ""
    items = ""
    for artefact, side in lacking:
        why = " ".join(reason_text(locale, one) for one in side["reasons"])
        advice = f' <code>{text(side["advice"])}</code>' if side["advice"] else ""
        name = ", ".join(one for one in (format_words(locale, artefact),
                                         side["program"]) if one)
        items += (f'<li data-format="{text(format_of(artefact))}" data-verdict="notrun">'
                  f"<b>{text(name)}</b>: {text(why)}{advice}</li>")
    return (f'<div class="f-lacking"><h3>{text(t(locale, "parity.lacking"))}</h3>'
            f"<ul>{items}</ul></div>")
