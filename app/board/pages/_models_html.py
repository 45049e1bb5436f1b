"""The Models page's lists as HTML; pure functions. Every name and licence is escaped (rule R13)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from app.board import icons
from app.board.i18n import has, said, t
from app.board.pages._parts import card, job_card, note, paragraph, text
from app.board.wording import count, duration, percent, size
from app.datajobs import Job
from app.models import Kept, Offer
from app.models_delete import Losses
from app.models_needs import Need, Room
from app.models_shelf import OnDisk

FIRST = 60
TOLD_S = 900.0
VIEWS = ("here", "catalogue")


def title(locale: str) -> str:
    """Return the head of the page."""
    return (f'<div class="f-title"><div><h1>{text(t(locale, "page.models"))}</h1>'
            f'<p>{text(t(locale, "models.lead"))}</p></div></div>')


def tabs(locale: str, view: str) -> str:
    """Return the two links that say which list is shown."""
    links = "".join(
        f'<a href="./models{"" if name == "here" else f"?view={name}"}" id="models-{name}"'
        f'{current}>{text(t(locale, f"models.view.{name}"))}</a>'
        for name in VIEWS for current in [' aria-current="page"' if name == view else ""])
    return f'<nav class="f-tabs" aria-label="{text(t(locale, "models.tabs"))}">{links}</nav>'


# The lists


def here(locale: str, found: Sequence[Kept], room: Room) -> str:
    """Return the list of what is on this machine."""
    if not found:
        return _nothing(locale)
    rows = "".join(_kept(locale, one, room) for one in found)
    return _table(locale, "f-here", ("model", "disk", "weights", "memory", "used"), rows, room)


def catalogue(locale: str, found: Sequence[Offer], room: Room, everything: bool) -> str:
    """Return the list of well-known bases, the first of them unless all are asked for."""
    if not found:
        return _nothing(locale)
    shown = found if everything else found[:FIRST]
    rows = "".join(_offer(locale, one, room) for one in shown)
    table = _table(locale, "f-offers", ("model", "weights", "context", "memory"), rows, room)
    more = "" if len(shown) == len(found) else (
        '<p class="f-more"><button type="button" class="f-button" data-do="all:">'
        f'{text(t(locale, "models.more", n=count(len(found))))}</button></p>')
    return table + more


def _nothing(locale: str) -> str:
    return (f'<div class="f-card f-empty"><h2>{text(t(locale, "models.none"))}</h2>'
            f'<p>{text(t(locale, "models.none_advice"))}</p></div>')


def _table(locale: str, kind: str, heads: Sequence[str], rows: str, room: Room) -> str:
    names = "".join(f'<span>{text(t(locale, f"models.head.{head}", device=room.name))}</span>'
                    for head in heads)
    return (f'<div class="f-table f-models {kind}" role="list"><div class="f-head" '
            f'aria-hidden="true">{names}<span></span></div>{rows}</div>'
            f'<p class="f-quiet f-needs-word">{text(t(locale, "models.needs_word"))}</p>')


def _kept(locale: str, kept: Kept, room: Room) -> str:
    one = kept.model
    name = f'<a href="./run?id={text(quote(one.name))}">{text(one.label)}</a>' \
        if one.origin == "run" else f"<b>{text(one.label)}</b>"
    weights = weights_words(one.facts.parameters)
    stored = " · ".join(word for word in (one.facts.dtype, one.facts.quantization) if word)
    made = "".join(f'<em class="f-chip">{text(_format(locale, name))}</em>'
                   for name in one.formats)
    made = f'<div class="f-formats">{made}</div>' if made else ""
    used = "".join(f'<a href="./run?id={text(quote(user.id))}">{text(user.name)}</a>'
                   for user in one.used_by[:2])
    more = f'<span class="f-dim">+{len(one.used_by) - 2}</span>' if len(one.used_by) > 2 else ""
    return (f'<div class="f-row" role="listitem" data-model="{text(one.name)}">'
            f'<div class="f-name">{name}{made}<span>{text(_about(locale, one))}</span>'
            f"{_problem(locale, one)}</div>"
            f'<div class="f-num">{size(one.size_bytes)}{_saved(locale, one)}</div>'
            f'<div class="f-num">{weights or "—"}<span>{text(stored)}</span></div>'
            f"{_needs(locale, kept.needs, room)}"
            f'<div class="f-used">{used}{more or ("" if used else "—")}</div>'
            f"{_acts(locale, one)}</div>")


def _about(locale: str, one: OnDisk) -> str:
    words = [t(locale, f"models.origin.{one.origin}") if one.origin != "run" else
             t(locale, f"models.what.{one.what}")]
    if one.base:
        words.append(t(locale, "models.upon", base=one.base))
    words += [one.facts.family, one.licence, template_words(locale, one.template)]
    if one.facts.context:
        words.append(t(locale, "models.tokens", n=count(one.facts.context)))
    return " · ".join(word for word in words if word)


def template_words(locale: str, name: str) -> str:
    """Return what a template's name means in a few words; '' for none at all."""
    if name in ("own", "none"):
        return t(locale, f"models.template.{name}")
    return t(locale, "models.template.named", name=name) if name else ""


def _saved(locale: str, one: OnDisk) -> str:
    if not one.checkpoints:
        return ""
    return "<span>" + text(t(locale, "models.checkpoints", n=count(one.checkpoints),
                             size=size(one.checkpoint_bytes))) + "</span>"


def _problem(locale: str, one: OnDisk) -> str:
    if one.facts.problem is None:
        return ""
    message, advice = said(locale, *one.facts.problem, params={"name": one.label})
    return f'<p class="f-model-problem">{icons.WARN}{text(f"{message} {advice}".strip())}</p>'


def _acts(locale: str, one: OnDisk) -> str:
    again = one.facts.problem and one.facts.problem[0] == "model_incomplete"
    whole = not one.facts.problem and one.what not in ("checkpoints", "export")
    first = _button(locale, "download", one.name) if again else (
        _train(locale, one.name) if whole else "")
    # An adapter without its run says too little of its base to be merged into it.
    export = _export(locale, one.name) if whole and not one.formats and (
        one.what != "adapter" or one.origin == "run") else ""
    delete = _button(locale, "delete", one.name) if one.deletable else ""
    return f'<div class="f-acts">{first}{export}{delete}</div>'


def _export(locale: str, name: str) -> str:
    words, address = text(t(locale, "models.export")), text(quote(name, safe=""))
    return (f'<a class="f-button f-small" href="./export?model={address}" '
            f'aria-label="{words}: {text(name)}">{words}</a>')


def _format(locale: str, name: str) -> str:
    return t(locale, f"format.{name}") if has(f"format.{name}") else name


def _train(locale: str, name: str) -> str:
    words, address = text(t(locale, "models.train")), text(quote(name, safe=""))
    return (f'<a class="f-button f-small f-primary" href="./train?model={address}" '
            f'aria-label="{words}: {text(name)}">{words}</a>')


def _button(locale: str, verb: str, name: str, key: str = "") -> str:
    words = t(locale, f"models.{verb}") if not key else t(locale, key)
    return (f'<button type="button" class="f-button f-small" data-do="{verb}:{text(name)}" '
            f'aria-label="{text(words)}: {text(name)}">{text(words)}</button>')


def _offer(locale: str, offer: Offer, room: Room) -> str:
    model = offer.model
    words = [t(locale, f"models.kind.{model.kind}"), model.family, model.licence or "",
             template_words(locale, model.template), str(model.released)]
    active = "" if model.active is None else t(
        locale, "models.active", n=weights_words(model.active_parameters))
    owner, _, name = model.id.partition("/")
    return (f'<div class="f-row" role="listitem" data-model="{text(model.id)}"><div class="f-name">'
            f'<b><i>{text(owner)}/</i>{text(name)}</b>{_chips(locale, offer)}'
            f"<span>{text(' · '.join(word for word in words if word))}</span></div>"
            f'<div class="f-num">{weights_words(model.parameters)}<span>{text(active)}</span></div>'
            f'<div class="f-num">{count(model.context) if model.context else "—"}</div>'
            f"{_needs(locale, offer.needs, room)}{_offer_acts(locale, offer)}</div>")


def _chips(locale: str, offer: Offer) -> str:
    found = ""
    if offer.here:
        found += f'<em class="f-chip f-completed">{text(t(locale, "models.here"))}</em>'
    if offer.model.gated:
        found += (f'<em class="f-chip" title="{text(t(locale, "models.gated_help"))}">'
                  f'{text(t(locale, "models.gated_word"))}</em>')
    if kind := offer.model.obstacle:
        found += (f'<em class="f-chip f-interrupted" '
                  f'title="{text(t(locale, f"models.obstacle.{kind}_help"))}">'
                  f'{text(t(locale, f"models.obstacle.{kind}"))}</em>')
    return found


def _offer_acts(locale: str, offer: Offer) -> str:
    if offer.model.obstacle:
        return '<div class="f-acts"></div>'
    name, elsewhere = offer.model.id, offer.model.modelscope_id
    bring = "" if offer.here else _button(locale, "download", name) + (
        _button(locale, "download", f"ms:{elsewhere}", "models.from_ms")
        if elsewhere and locale == "zh" else "")
    return f'<div class="f-acts">{_train(locale, name)}{bring}</div>'


def _needs(locale: str, needs: Sequence[Need], room: Room) -> str:
    """Return what each method takes, and by colour and words whether it fits."""
    found = []
    for need in needs:
        words = t(locale, f"models.need.{'fits' if need.fits else 'over'}",
                  method=t(locale, f"method.{need.method}"), size=gib(need.bytes),
                  device=room.name, room=gib(room.total_bytes))
        basis = t(locale, f"models.need.{'counted' if need.counted else 'rough'}")
        found.append(
            f'<span class="f-need" data-method="{need.method}" '
            f'data-fits="{str(need.fits).lower()}" title="{text(f"{words} {basis}")}">'
            f'{icons.CHECK if need.fits else ""}'
            f'<i>{text(t(locale, f"method.{need.method}"))}</i> {gib(need.bytes)}</span>')
    return f'<div class="f-needs">{"".join(found) or "—"}</div>'


def gib(size_bytes: float) -> str:
    """Return a size of memory as devices are sold: in GiB."""
    value = size_bytes / 2**30
    return f"{value:,.0f} GiB" if value >= 10 else f"{value:,.1f} GiB"


def weights_words(number: int) -> str:
    """Return a number of weights in billions or millions; '' for none."""
    if number >= 1e9:
        return f"{number / 1e9:.3g} B"
    return f"{number / 1e6:.3g} M" if number else ""


# Work and deleting


def work(locale: str, jobs: Sequence[Job], now: float = 0.0) -> str:
    """Return the downloads under way, and for a while what became of the newest."""
    active = [job for job in jobs if job.active]
    ended = [job for job in jobs if not job.active and now < job.ended_at + TOLD_S
             and not any(other.name == job.name and other.asked_at > job.asked_at
                         for other in jobs)][-2:]
    return "".join([_job(locale, job) for job in active] + [_ended(locale, job) for job in ended])


def _job(locale: str, job: Job) -> str:
    words = [t(locale, "models.waiting")] if job.state == "waiting" else []
    if job.total:
        words.append(t(locale, "models.progress", done=size(job.done), total=size(job.total)))
        words.append(percent(round(job.fraction, 3)))
    if (eta_s := job.eta_s()) is not None:
        words.append(t(locale, "models.left", time=duration(locale, eta_s)))
    line = " · ".join(words) or t(locale, "models.begins")
    name = t(locale, "models.loading", name=job.name)
    return job_card(job, f'data-download="{text(job.name)}"', name, line,
                    t(locale, "models.cancel"))


def _ended(locale: str, job: Job) -> str:
    if job.state == "done":
        name = str(job.result.get("name", job.name))
        return note("ok", t(locale, "models.done", name=job.name),
                    f'<p class="f-look">{_train(locale, name)}</p>')
    if job.state == "cancelled":
        return note("info", t(locale, "models.cancelled", name=job.name))
    message, advice = said(locale, *(job.error or ("internal", "", "")), params={"name": job.name})
    return note("bad", t(locale, "models.failed", name=job.name),
                paragraph(message) + paragraph(advice))


def losing(locale: str, one: OnDisk, found: Losses) -> str:
    """Return what deleting a model would cost, or why it may not be deleted."""
    if found.forbidden is not None:
        message, advice = said(locale, *found.forbidden)
        return note("bad", message, paragraph(advice))
    body = paragraph(t(locale, "models.delete_frees", size=size(found.size_bytes)))
    if one.origin == "run":
        body += paragraph(t(locale, "models.delete_run"))
    body += _list(t(locale, "models.delete_adapters"), [each.label for each in found.adapters])
    body += _list(t(locale, "models.delete_runs"), [user.name for user in found.ended])
    if not found.ended:
        body += paragraph(t(locale, "models.delete_nothing"))
    return card(t(locale, "models.delete_title", name=one.label), body)


def _list(title_words: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    items = "".join(f"<li>{text(name)}</li>" for name in names[:20])
    more = f"<li>+{len(names) - 20:,}</li>" if len(names) > 20 else ""
    return f'<p class="f-lose">{text(title_words)}</p><ul class="f-lost">{items}{more}</ul>'
