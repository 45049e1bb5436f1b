"""The Export page: a model in the forms that other programs read, each compared with its source."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from app.board.i18n import problem_text, t
from app.board.pages import _export_form
from app.board.pages._export_form import Form, Option, grid
from app.board.pages._export_page import KindPage, said_of, settings
from app.board.pages._parts import card, pairs, text
from app.board.wording import size
from app.kindfit import PARTS
from app.preflight import DryRun
from app.runs import Run, RunState
from trainer.contract.config import objectives_with
from trainer.contract.kinds.export import FORMATS, ExportConfig, Format
from trainer.contract.problems import Problem

GROUPS: dict[str, tuple[Format, ...]] = {
    "weights": ("merged", "adapter"),
    "gguf": ("gguf-q4_k_m", "gguf-q5_k_m", "gguf-q6_k", "gguf-q8_0", "gguf-q4_0", "gguf-q3_k_m",
             "gguf-q2_k", "gguf-f16", "gguf-bf16", "gguf-f32"),
    "quantized": ("fp8", "int8", "gptq", "awq"),
    "onnx": ("onnx",)}
_NUMBERS = ("calibration_rows", "max_shard_size_gb", "parity.prompts", "parity.max_new_tokens")
_TICKS = ("model_card", "ollama", "deployment", "parity.enabled", "push.private",
          "push.existing")
_TEXTS = ("dtype", "push.repo", "push.folder", "device")
_MEGABYTE = 1e6


class ExportPage(KindPage):
    """The page's components and handlers for one language."""

    owners: ClassVar = {"deployment_without_model": "deployment"}

    def __init__(self, studio: Any, locale: str) -> None:
        super().__init__(studio, locale)
        self.form = Form(locale, ExportConfig, "export")

    def _say(self, key: str) -> str:
        return t(self.locale, f"export.{key}")

    def cards(self) -> Sequence[tuple[str, str]]:
        """Return the form's cards as (heading, HTML)."""
        form = self.form
        return (
            (self._say("what"), grid(
                form.names("source", width=8, hint=self._say("source_hint")),
                form.text("name", width=4, hint=self._say("name_hint")))),
            (self._say("formats"), self._formats()),
            (self._say("beside"), grid(
                form.tick("model_card"), form.tick("ollama"), form.tick("deployment"),
                form.select("dtype", self.dtypes(), width=6),
                form.text("max_shard_size_gb", number=True, width=6),
                form.text("calibration_rows", number=True, width=6),
                form.select("device", self.devices(), width=6))),
            (self._say("proof"), f'<p class="f-quiet">{text(self._say("proof_about"))}</p>'
             + grid(form.tick("parity.enabled", width=12),
                    form.text("parity.prompts", number=True, width=6),
                    form.text("parity.max_new_tokens", number=True, width=6))),
            (self._say("send"), grid(
                form.text("push.repo", width=6, hint="OWNER/NAME"),
                form.text("push.folder", width=6), form.tick("push.private"),
                form.tick("push.existing"))))

    def _formats(self) -> str:
        body = ""
        for group, names in GROUPS.items():
            options = ((name, t(self.locale, f"format.{name}"),
                        t(self.locale, f"about.format.{name}")) for name in names)
            heading = text(self._say(f"group.{group}"))
            body += (f'<div class="f-options" role="group" data-group="{group}" '
                     f'aria-label="{heading}"><h3>{heading}</h3>'
                     f'{_export_form.rows("checkbox", "formats", options)}'
                     '<p class="f-options-note" hidden></p></div>')
        return self.form.field("formats", "options", body, width=12, group=True)

    # What can be chosen

    def known(self) -> Mapping[str, Sequence[Option]]:
        """Return bases, results and their checkpoints."""
        found = [self.choice(name) for name in self.studio.models()]
        found += [self.choice(f"{run.id}/{info.path.name}") for run in self._trained()
                  for info in self.studio.checkpoints(run.id) if not info.problem]
        return {"source": found}

    def _trained(self) -> Iterator[Run]:
        for run in self.studio.runs():
            if run.objective not in ("export", "merge", *objectives_with(head=True)):
                yield run

    def defaults(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the named model, else the newest result, in the formats that most people want."""
        name = query.get("model", "")[:1000]
        if not name:
            done = (run.id for run in self._trained() if run.state is RunState.COMPLETED)
            name = next(done, "starter")
        known = {run.id for run in self.studio.runs()}
        formats = ["merged", "gguf-q8_0"] if name.partition("/")[0] in known else ["gguf-q8_0"]
        return self.raws_of({"source": name, "formats": formats})

    def raws_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the form holds for a config; what it leaves out has its default."""
        full = ExportConfig.model_validate({"source": "x", "formats": ["merged"]}).dump()
        for key, value in values.items():
            full[key] = {**full[key], **value} if isinstance(value, dict) else value
        raws: dict[str, Any] = {"source": full["source"], "formats": full["formats"],
                                "name": values.get("name", "")}
        for path in (*_NUMBERS, *_TICKS, *_TEXTS):
            section, _, name = path.rpartition(".")
            value = full[section][name] if section else full[name]
            raws[path] = value if path in _TICKS else f"{value:g}" if isinstance(
                value, float) else str(value)
        return raws

    def read(self, raws: Mapping[str, Any]) -> dict[str, Any]:
        """Return the config that the form describes, unchecked."""
        source = said_of(raws, "source")
        values: dict[str, Any] = {
            "kind": "export", "name": said_of(raws, "name") or self.named(raws),
            "source": source, "formats": raws.get("formats") or []}
        for path in (*_NUMBERS, *_TICKS, *_TEXTS):
            if path not in raws:
                continue
            section, _, name = path.rpartition(".")
            node = values.setdefault(section, {}) if section else values
            node[name] = bool(raws[path]) if path in _TICKS else said_of(raws, path)
        return values

    def means(self, raws: Mapping[str, Any]) -> dict[str, Any]:
        """Return which fields mean nothing now."""
        return {"hidden": hidden(raws)}

    def named(self, raws: Mapping[str, Any]) -> str:
        """Return a name after the model."""
        return self._named(said_of(raws, "source"))

    def _named(self, source: str) -> str:
        return t("en", "export.named", name=self.label(source))[:100].replace("/", "-")

    # What it means

    def missing(self, raws: Mapping[str, Any]) -> str:
        """Return that a model has to be chosen."""
        return "" if said_of(raws, "source") else self._say("choose")

    def looked_at(self, raws: Mapping[str, Any]) -> tuple[DryRun, dict[str, Any], str]:
        """Return (what is known, what the script is told, how large it will be)."""
        values = self.read(raws)
        dry = self.studio.dry_run(values, origin="web")
        every = self.studio.dry_run({**values, "formats": list(FORMATS), "deployment": False},
                                    origin="web")
        sizes = {choice.field.removeprefix("format."): str(choice.value)
                 for choice in every.choices if choice.field.startswith("format.")}
        told = {"said": self._said(every.problems), "notes": self._notes(every.problems),
                "sizes": {name: t(self.locale, "export.about_size", size=value)
                          for name, value in sizes.items()}}
        return dry, told, self._sizes([name for name in values["formats"] if name in sizes],
                                       sizes)

    def _said(self, problems: Sequence[Problem]) -> dict[str, str]:
        """Return what keeps each format from being written here."""
        found: dict[str, str] = {}
        for problem in problems:
            if problem.code == "part_missing":
                found |= dict.fromkeys(problem.params["name"].split(", "), self._say("absent"))
            named = {"nothing_learned": ("merged", "adapter"), "no_adapter": ("adapter",),
                     "family_unknown": GROUPS["gguf"]}.get(problem.code, ())
            found |= dict.fromkeys(named, problem_text(self.locale, problem)[0])
        return found

    def _notes(self, problems: Sequence[Problem]) -> dict[str, list[list[str]]]:
        """Return for each group how to install what it lacks: (words, command, words)."""
        found: dict[str, list[list[str]]] = {}
        for problem in (one for one in problems if one.code == "part_missing"):
            names = problem.params["name"].split(", ")
            group, wanted = next((key, one) for key, members in GROUPS.items()
                                 for one in members if one == names[0])
            _, variable, command = PARTS[FORMATS[wanted].extra]
            other = t(self.locale, "export.part_or", variable=variable) if variable else ""
            labels = ", ".join(t(self.locale, f"format.{name}").removeprefix("GGUF ")
                               for name in names)
            found.setdefault(group, []).append([
                t(self.locale, "export.part", names=labels), command, other])
        return found

    def _sizes(self, chosen: Sequence[str], sizes: Mapping[str, str]) -> str:
        if not chosen:
            return ""
        told = [(t(self.locale, f"format.{name}"), text(sizes[name])) for name in chosen]
        total = sum(float(sizes[name].replace(",", "").split()[0]) for name in chosen)
        told.append((self._say("total"), f"<b>{size(total * _MEGABYTE)}</b>"))
        free = shutil.disk_usage(self.studio.home.runs).free
        told.append((self._say("free"), size(free)))
        return card(self._say("sizes"), pairs(told))

    # The same elsewhere

    def command(self, config: ExportConfig) -> str:
        """Return the command that does the same."""
        told = config.model_dump(mode="json", exclude_defaults=True)
        if config.name == self._named(config.source):
            told.pop("name", None)
        for key in ("kind", "source", "formats"):
            told.pop(key, None)
        words = [["finestra", "export", config.source],
                 [word for name in config.formats for word in ("-f", name)],
                 *([setting] for setting in settings(told))]
        return " \\\n  ".join(shlex.join(part) for part in words)

    def yaml(self, config: ExportConfig) -> str:
        """Return the config as a file, without what is default."""
        return _export_form.brief(
            {"kind": "export", "name": config.name, "source": config.source},
            config.model_dump(mode="json", exclude_defaults=True))


def hidden(raws: Mapping[str, Any]) -> list[str]:
    """Return the fields that mean nothing beside what is chosen."""
    chosen = set(raws.get("formats") or ())
    families = {FORMATS[name].family for name in chosen if name in FORMATS}
    proof, sent = bool(raws.get("parity.enabled")), bool(said_of(raws, "push.repo"))
    means = {"ollama": "gguf" in families, "max_shard_size_gb": "merged" in chosen,
             "calibration_rows": bool(chosen & {"gptq", "awq"}),
             "dtype": bool(chosen - {"adapter"}), "parity.prompts": proof,
             "parity.max_new_tokens": proof, "push.private": sent, "push.existing": sent}
    return [path for path, meant in means.items() if not meant]
