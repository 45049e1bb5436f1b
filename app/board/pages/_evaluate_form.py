"""The form of a new evaluation, card by card, as native HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.board.i18n import t
from app.board.i18n.methods import evaluating
from app.board.pages import _export_form
from app.board.pages._evaluate_raws import ASKED, OWN
from app.board.pages._export_form import Form, Option, grid
from app.board.pages._parts import text
from trainer.contract.benchmarks import BENCHMARKS
from trainer.contract.kinds.evaluate import EvaluateConfig, MetricUse
from trainer.contract.rubrics import RUBRICS

# What most people want comes first.
GROUPS: dict[str, tuple[str, ...]] = {
    "right": ("exact_match", "contains", "numeric", "classification", "regex", "json",
              "tool_calls"),
    "alike": ("rouge", "chrf", "bleu", "embedding"),
    "likely": ("likelihood", "multiple_choice"),
    "code": ("code", "python")}
_OPTION = "option."


@dataclass(frozen=True)
class EvaluateForm(Form):
    """Draws the fields of an evaluation; ``option.METRIC.NAME`` are those of metrics."""

    def words(self, path: str) -> tuple[str, str]:
        """Return a field's title with its unit, and its description."""
        if path == "benchmarks.offered" or path == "judge.own":
            return t(self.locale, f"evaluate.{path}"), t(self.locale, f"evaluate.{path}.about")
        if not path.startswith(_OPTION):
            return super().words(path)
        _, metric, option = path.split(".")
        info = MetricUse.model_fields[option]
        title, about = str(info.title), str(info.description)
        if self.locale == "zh":
            title, about = evaluating.KIND_FIELDS[f"evaluate.metrics.{option}"]
        return f"{t(self.locale, f'metric.{metric}')}: {title}", about

    def owner(self, path: str) -> tuple[str, str]:
        """Return (path, title) of the field that a problem's path is about; '' for the whole."""
        section, _, name = path.partition(".")
        known = path.startswith(_OPTION) or path == "judge.own" or (
            section in ("generation", "benchmarks", "judge") and name in _names(section))
        return (path, self.words(path)[0]) if known else super().owner(path)

    def options(self, path: str, groups: Iterable[tuple[str, Sequence[tuple[str, str, str]]]],
                ) -> str:
        """Return rows to tick; each group is (heading, (value, label, about))."""
        body = ""
        for heading, rows in groups:
            head = f"<h3>{text(heading)}</h3>" if heading else ""
            name = text(heading or self.words(path)[0])
            body += (f'<div class="f-options f-three" role="group" aria-label="{name}">{head}'
                     f'{_export_form.rows("checkbox", path, rows)}</div>')
        return self.field(path, "options", body, width=12, group=True)

    def consent(self, path: str, *, width: int = 12) -> str:
        """Return the box by which somebody lets code run, as it is now."""
        identity = f"{path.replace('.', '-')}"
        return self.field(path, "consent", '<label class="f-tick"><input type="checkbox" '
                          f'id="field-{identity}-in" aria-describedby="field-{identity}-help">'
                          f'<span>{text(t(self.locale, "evaluate.consent"))}</span></label>',
                          width=width, label=False)


def _names(section: str) -> Iterable[str]:
    annotation = EvaluateConfig.model_fields[section].annotation
    return annotation.model_fields if annotation and hasattr(annotation, "model_fields") else ()


def cards(form: EvaluateForm, devices: Sequence[Option]) -> Sequence[tuple[str, str]]:
    """Return the form's cards as (heading, HTML); what few people need is folded."""
    def say(key: str) -> str:
        return t(form.locale, f"evaluate.{key}")

    return ((say("what"), _what(form)), (say("metrics"), _metrics(form)),
            ("", _fold("benchmarks", say("benchmarks"), say("benchmarks_lead"),
                       _benchmarks(form))),
            ("", _fold("judge", say("judge"), say("judge_lead"), _judge(form))),
            ("", _fold("advanced", say("advanced"), say("advanced_lead"),
                       _advanced(form, devices))))


def _fold(key: str, title: str, lead: str, body: str) -> str:
    return (f'<details class="f-fold" id="evaluate-fold-{key}"><summary><h2>{text(title)}</h2>'
            f'<span class="f-quiet">{text(lead)}</span></summary>{body}</details>')


def _what(form: EvaluateForm) -> str:
    def say(key: str) -> str:
        return t(form.locale, f"evaluate.{key}")

    return grid(
        form.several("models", hint=say("models_hint"), first=say("first")),
        form.several("data", hint=say("data_hint")),
        form.text("max_samples", number=True, hint=say("all")),
        form.text("generation.max_new_tokens", number=True),
        form.select("engine", [(name, t(form.locale, f"evaluate.engine.{name}"))
                               for name in ("auto", "transformers", "vllm")]),
        form.text("name", hint=say("name_hint")))


def _metrics(form: EvaluateForm) -> str:
    groups = [(t(form.locale, f"evaluate.group.{group}"), [
        (name, t(form.locale, f"metric.{name}"), t(form.locale, f"about.metric.{name}"))
        for name in names]) for group, names in GROUPS.items()]
    fields = []
    for metric, option in ASKED:
        path = f"option.{metric}.{option}"
        if option == "sha256":
            fields.append(form.consent(path))
        elif option == "consent":
            fields.append(form.tick(path, width=12))
        elif option in ("json_schema", "labels"):
            fields.append(form.long(path))
        else:
            fields.append(form.text(path, width=12))
    lead = f'<p class="f-quiet">{text(t(form.locale, "evaluate.metrics_lead"))}</p>'
    return lead + form.options("metrics", groups) + grid(*fields)


def _benchmarks(form: EvaluateForm) -> str:
    def about(name: str, examples: int | None) -> str:
        said = t(form.locale, f"about.benchmark.{name}")
        usual = "" if examples is None else t(form.locale, "evaluate.usual", n=examples)
        return f"{said} {usual}".strip()

    offered = [(one.name, one.title, about(one.name, one.num_fewshot)) for one in BENCHMARKS]
    return form.options("benchmarks.offered", [("", offered)]) + grid(
        form.text("benchmarks.tasks", width=6, hint="winogrande, piqa"),
        form.text("benchmarks.num_fewshot", number=True, hint="—"),
        form.text("benchmarks.limit", number=True,
                  hint=t(form.locale, "evaluate.all")),
        form.text("benchmarks.include_path", width=6),
        form.tick("benchmarks.apply_chat_template"),
        form.consent("benchmarks.sha256"))


def _judge(form: EvaluateForm) -> str:
    def say(key: str) -> str:
        return t(form.locale, f"evaluate.{key}")

    rubrics = [*((name, t(form.locale, f"rubric.{name}")) for name in RUBRICS),
               (OWN, say("rubric_own"))]
    return grid(
        form.names("judge.model", width=6, hint=say("judge_hint")),
        form.pills("judge.mode", [(name, say(f"mode.{name}")) for name in ("pairwise", "score")]),
        form.select("judge.rubric", rubrics, width=6),
        form.text("judge.limit", number=True, hint=say("all")),
        form.text("judge.max_new_tokens", number=True),
        form.long("judge.own", lines=4),
        form.text("judge.price_in", number=True, hint="—"),
        form.text("judge.price_out", number=True, hint="—"),
        form.tick("judge.swap"))


def _advanced(form: EvaluateForm, devices: Sequence[Option]) -> str:
    thinking = [(key, t(form.locale, f"evaluate.thinking.{key or 'template'}"))
                for key in ("", "on", "off")]
    return grid(
        form.text("generation.temperature", number=True),
        form.text("generation.top_p", number=True), form.text("generation.seed", number=True),
        form.select("generation.enable_thinking", thinking),
        form.long("generation.system"),
        form.long("generation.stop", width=6),
        form.text("batch_size", number=True, hint="—"),
        form.text("seed", number=True), form.select("device", devices, width=6))
