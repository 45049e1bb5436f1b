"""The Merge page: several adapters of one base, or several models of one shape, as one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, get_args

from app.board.i18n import t
from app.board.pages import _export_form
from app.board.pages._export_form import Form, Option, grid
from app.board.pages._export_page import KindPage, said_of, settings
from app.board.pages._parts import text
from app.paths import is_path
from app.preflight import DryRun
from app.runs import RunError
from trainer.contract.kinds.merge import (
    OF_MODELS,
    THINNING,
    AdapterMethod,
    MergeConfig,
    MergeMethod,
)
from trainer.contract.rundir import RunDir

METHODS: dict[str, tuple[str, ...]] = {"adapters": get_args(AdapterMethod),
                                       "models": tuple(OF_MODELS)}
# From the plain sum to what is for tasks that get in each other's way.
_ORDER: tuple[MergeMethod, ...] = (
    "svd", "cat", "ties_svd", "dare_ties_svd", "dare_linear_svd", "magnitude_prune_svd", "linear",
    "slerp", "task_arithmetic", "ties", "dare_ties", "dare_linear", "magnitude_prune")
_TEXTS = ("what", "method", "base", "density", "majority_sign_method", "svd_rank", "dtype",
          "device", "seed", "parity")
MOST = 16


class MergePage(KindPage):
    """The page's components and handlers for one language."""

    owners: ClassVar = {
        "source_twice": "sources", "weights_zero": "sources", "slerp_of_two": "sources",
        "method_of_adapters": "method", "method_of_models": "method", "base_missing": "base"}

    def __init__(self, studio: Any, locale: str) -> None:
        super().__init__(studio, locale)
        self.form = Form(locale, MergeConfig, "merge")

    def _say(self, key: str, **values: object) -> str:
        return t(self.locale, f"merge.{key}", **values)

    def cards(self) -> Sequence[tuple[str, str]]:
        """Return the form's cards as (heading, HTML)."""
        form = self.form
        return (
            (self._say("sources"), grid(
                form.pills("what", [(name, self._say(f"what.{name}")) for name in METHODS],
                           width=8),
                form.text("name", width=4, hint=self._say("name_hint")),
                form.field("sources", "sources", self._rows(), width=12, group=True))),
            (self._say("method"), self._methods()),
            (self._say("settings"), grid(
                form.names("base", width=6), form.text("density", number=True, width=6),
                form.select("majority_sign_method", [
                    (name, self._say(f"sign.{name}")) for name in ("total", "frequency")],
                    width=6),
                form.text("svd_rank", number=True, width=6, hint="—"),
                form.select("dtype", self.dtypes(), width=6),
                form.text("seed", number=True, width=6),
                form.select("device", self.devices(), width=6), form.tick("parity"))))

    def _rows(self) -> str:
        return (f'<div class="f-merge-row f-merge-head" aria-hidden="true"><span>'
                f'{text(self._say("model"))}</span><span>{text(self._say("share"))}</span></div>'
                f'<div class="f-merge-rows"></div><button type="button" class="f-button f-small" '
                f'id="merge-add">{text(self._say("add"))}</button>')

    def _methods(self) -> str:
        options = ((name, t(self.locale, f"merge.method.{name}"),
                    t(self.locale, f"about.merge.{name}")) for name in _ORDER)
        body = f'<div class="f-options">{_export_form.rows("radio", "method", options)}</div>'
        return self.form.field("method", "option", body, width=12, group=True)

    def script_words(self) -> dict[str, str]:
        """Return the words of the rows that the script makes."""
        return {"remove": self._say("remove"), "weight": self.form.words("sources")[0],
                "model": self._say("model"), "share": self._say("weight"),
                "hint": self._say("source_hint")}

    # What can be chosen

    def known(self) -> Mapping[str, Sequence[Option]]:
        """Return results, and bases for whole models."""
        found = [self.choice(name) for name in self.studio.models()]
        runs = {run.id for run in self.studio.runs()}
        return {"sources": [one for one in found if one[1] in runs]
                + [one for one in found if one[1] not in runs],
                "base": found}

    def _is_whole(self, name: str) -> bool:
        """Tell whether a name stands for whole weights, not for an adapter."""
        try:
            place = RunDir(self.studio.run(name).dir)
        except RunError:
            return name == "starter" or not is_path(name)
        return place.model.is_dir() and not place.adapter.is_dir()

    def defaults(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the named models; where they have adapters, those are merged."""
        named = [name for name in query.get("models", "")[:10_000].split(",") if name][:MOST]
        whole = any(map(self._is_whole, named))
        rows = [{"name": name, "weight": 1.0} for name in named]
        rows += [{"name": "", "weight": 1.0}] * (2 - len(rows))
        return self.raws_of({"sources": rows, "what": "models" if whole else "adapters"})

    def raws_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the form holds for a config; what it leaves out has its default."""
        full = {**MergeConfig.model_validate(
            {"sources": [{"name": "a"}, {"name": "b"}],
             "what": values.get("what", "adapters")}).dump(), **values}
        raws: dict[str, Any] = {"name": values.get("name", ""), "sources": [
            {"name": one["name"], "weight": f"{one.get('weight', 1.0):g}"}
            for one in full["sources"]]}
        for path in _TEXTS:
            value = full[path]
            raws[path] = value if isinstance(value, bool) else "" if value is None else (
                f"{value:g}" if isinstance(value, float) else str(value))
        return raws

    def read(self, raws: Mapping[str, Any]) -> dict[str, Any]:
        """Return the config that the form describes, unchecked."""
        sources = [{"name": said_of(one, "name"), "weight": said_of(one, "weight") or "1"}
                   for one in raws.get("sources") or () if isinstance(one, dict)]
        values: dict[str, Any] = {"kind": "merge", "sources": sources}
        off = hidden(raws)
        for path in _TEXTS:
            if path in raws and path not in off:
                values[path] = raws[path] if path == "parity" else said_of(raws, path)
        if values.get("svd_rank") == "":
            values["svd_rank"] = None
        values["name"] = said_of(raws, "name") or self.named(raws)
        return values

    def means(self, raws: Mapping[str, Any]) -> dict[str, Any]:
        """Return which fields and methods mean nothing now."""
        return {"hidden": hidden(raws),
                "options": {"method": METHODS.get(str(raws.get("what")), ())}}

    def named(self, raws: Mapping[str, Any]) -> str:
        """Return a name after the models."""
        return self._named([said_of(one, "name") for one in raws.get("sources") or ()
                            if isinstance(one, dict)])

    def _named(self, sources: Sequence[str]) -> str:
        labels = [self.label(name) for name in sources]
        return t("en", "merge.named", names=" + ".join(labels))[:100].replace("/", "-")

    # What it means

    def missing(self, raws: Mapping[str, Any]) -> str:
        """Return that models have to be chosen."""
        named = [one for one in raws.get("sources") or () if said_of(one, "name")]
        return self._say("choose") if len(named) < 2 and len(
            raws.get("sources") or ()) <= 2 else ""

    def looked_at(self, raws: Mapping[str, Any]) -> tuple[DryRun, dict[str, Any], str]:
        """Return (what is known, what the script is told, nothing more)."""
        return self.studio.dry_run(self.read(raws), origin="web"), {}, ""

    # The same elsewhere

    def command(self, config: MergeConfig) -> str:
        """Return the command that does the same."""
        told = config.model_dump(mode="json", exclude_defaults=True)
        if config.name == self._named([one.name for one in config.sources]):
            told.pop("name", None)
        for key in ("kind", "sources"):
            told.pop(key, None)
        words = [["finestra", "merge", *(
            one.name if one.weight == 1 else f"{one.name}={one.weight:g}"
            for one in config.sources)],
            *([setting] for setting in settings({"method": config.method, **told}))]
        return " \\\n  ".join(shlex.join(part) for part in words)

    def yaml(self, config: MergeConfig) -> str:
        """Return the config as a file, without what is default."""
        told = config.model_dump(mode="json", exclude_defaults=True)
        return _export_form.brief({"kind": "merge", "name": config.name, "what": config.what,
                                   "method": config.method}, told)


def hidden(raws: Mapping[str, Any]) -> list[str]:
    """Return the fields that mean nothing beside what is chosen."""
    method, models = str(raws.get("method", "")), raws.get("what") == "models"
    means = {"base": models and OF_MODELS.get(method, False),
             "density": method.startswith(THINNING),
             "majority_sign_method": "ties" in method and not models,
             "svd_rank": method.endswith("svd") and not models, "dtype": models,
             "seed": method.startswith("dare")}
    return [path for path, meant in means.items() if not meant]
