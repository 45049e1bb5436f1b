"""What can be known of an export or a merge before it is queued: the model, formats, disk, places.

The work itself checks everything again, with the libraries at hand; this is what can be told at
once, without them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from app.choices import Choice
from app.home import Home
from app.paths import is_path
from trainer.contract.commits import find_problem
from trainer.contract.config import RunConfig, objectives_with
from trainer.contract.hubcache import cached_snapshot, hub_token_file
from trainer.contract.kinds.export import FORMATS, GGUF_MODELS, ExportConfig, Format
from trainer.contract.kinds.merge import MergeConfig
from trainer.contract.models import (
    ModelError,
    ModelFacts,
    read_adapter,
    read_folder,
    require_mergeable,
    resolve_model,
)
from trainer.contract.problems import ConfigError, Problem, message_and_advice
from trainer.contract.rundir import RunDir, is_safe_name

# What formats need: a package, the variable that names another interpreter which has it, and
# how it is installed.
PARTS = {
    "export": ("gguf", "", "pip install 'finestra[export]'"),
    "llama": ("llama_cpp", "FINESTRA_LLAMA_PYTHON", "pip install 'finestra[llama]'"),
    "quantize": ("llmcompressor", "FINESTRA_QUANTIZE_PYTHON",
                 "python -m venv ENV; ENV/bin/pip install torch llmcompressor"),
    "onnx": ("optimum", "FINESTRA_ONNX_PYTHON", "python -m venv ENV; ENV/bin/pip install torch "
             "accelerate 'optimum-onnx[onnxruntime]'")}
Other = ExportConfig | MergeConfig
_TROUBLE = (ModelError, ConfigError, OSError)


class KindFit:
    """Looks at configs of runs that do not train."""

    def __init__(self, home: Home, allowed: Callable[[str], bool] | None) -> None:
        """Look into a home.

        Args:
            home: Where runs and models lie.
            allowed: Tells whether a page may name a path (rule R5); None lets every path pass.
        """
        self.home, self._allowed = home, allowed

    def look(self, config: Other) -> tuple[list[Problem], list[Choice]]:
        """Return every problem, and what is known of the result."""
        outside = list(self._outside(config))
        if outside:
            return outside, []
        return self._export(config) if isinstance(config, ExportConfig) else self._merge(config)

    def absolute(self, config: Other) -> Other:
        """Make relative paths absolute: config.yaml alone does it again, from any folder."""
        def place(name: str) -> str:
            if not name or name == "starter" or self._run(name.partition("/")[0]):
                return name
            path = os.path.expanduser(name)
            return os.path.abspath(path) if os.path.exists(path) else name

        if isinstance(config, ExportConfig):
            folder = config.push.folder and os.path.abspath(os.path.expanduser(config.push.folder))
            return config.model_copy(update={
                "source": place(config.source),
                "push": config.push.model_copy(update={"folder": folder})})
        return config.model_copy(update={
            "base": place(config.base),
            "sources": [one.model_copy(update={"name": place(one.name)})
                        for one in config.sources]})

    def _outside(self, config: Other) -> Iterator[Problem]:
        if self._allowed is None:
            return
        named = ([("source", config.source), ("push.folder", config.push.folder)]
                 if isinstance(config, ExportConfig) else
                 [*((f"sources.{at}.name", one.name) for at, one in enumerate(config.sources)),
                  ("base", config.base)])
        for where, name in named:
            known = not name or name == "starter" or self._run(name.partition("/")[0])
            if not known and (is_path(name) or where == "push.folder") \
                    and not self._allowed(name):
                yield _problem(where, "path_outside_roots", f"'{name}' lies outside the folders "
                               "that pages may use.", "Name another one, or start the server with "
                               "--data-root.", name)

    def _run(self, name: str) -> RunDir | None:
        run = RunDir(self.home.runs / name)
        return run if is_safe_name(name) and run.path.is_dir() else None

    def _export(self, config: ExportConfig) -> tuple[list[Problem], list[Choice]]:
        found: list[Problem] = [*_missing_parts(config.formats), *self._push(config)]
        try:
            facts = self._source(config, found)
        except _TROUBLE as error:
            return [*found, _of_error("source", error, config.source)], []
        if facts is None:
            return found, []
        found += _unfit(config, facts)
        return found, self._sizes(config, facts, found)

    def _push(self, config: ExportConfig) -> Iterator[Problem]:
        """Say what would keep a finished export from being sent."""
        folder, tokens = config.push.folder, {**self.home.read_secrets(), **os.environ}
        if folder and os.path.exists(os.path.expanduser(folder)):
            yield _problem("push.folder", "target_exists", f"There is a '{folder}' already.",
                           "Name another folder, or remove it.", folder)
        if not config.push.repo:
            return
        if tokens.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
            yield _problem("push.repo", "push_offline", "The hub is switched off "
                           "(HF_HUB_OFFLINE).", "Switch it on, or copy the export to a folder.",
                           config.push.repo, machine=True)
        elif not tokens.get("HF_TOKEN") and not hub_token_file().is_file():
            yield _problem("push.repo", "push_no_token", "Sending to a hub needs your token, and "
                           "there is none.", "Make one that may write in the hub's settings, and "
                           "put it into HF_TOKEN.", config.push.repo, machine=True)

    def _source(self, config: ExportConfig, found: list[Problem]) -> ModelFacts | None:
        """Read the headers of the model that is exported; what is wrong with it goes to found."""
        run_id, _, checkpoint = config.source.partition("/checkpoint-")
        run = self._run(run_id)
        if run is None:
            facts = self._folder(config.source)
            found += _of_a_base(config)
            return facts
        trained = run.read_config()
        if trained.objective in objectives_with(head=True):
            raise ModelError("head_scores", f"The run '{run.id}' trained a model that gives scores "
                             "in place of words.", "It is used as it is, by Transformers or PEFT.")
        if checkpoint:
            self._check_checkpoint(run, f"checkpoint-{checkpoint}")
        if not trained.tuner.is_adapter:
            if "adapter" in config.formats:
                found.append(_problem("formats", "no_adapter", "This run trained every weight: it "
                                      "has no adapter.", "Leave 'adapter' out.", run.id))
            own = run.checkpoints / f"checkpoint-{checkpoint}" if checkpoint else run.model
            return read_folder(own)
        return self._base_of(config, run, trained, checkpoint)

    def _base_of(self, config: ExportConfig, run: RunDir, trained: RunConfig,
                 checkpoint: str) -> ModelFacts | None:
        adapter = run.checkpoints / f"checkpoint-{checkpoint}" if checkpoint else run.adapter
        if not (adapter / "adapter_config.json").is_file():
            raise ModelError("run_without_model", f"The run '{run.id}' has no finished model.",
                             "Wait until it is completed, or export one of its checkpoints.")
        read_adapter(adapter)
        if config.formats != ["adapter"]:
            require_mergeable(adapter)
        return self._folder(trained.model.name_or_path, trained.model.revision)

    def _check_checkpoint(self, run: RunDir, name: str) -> None:
        known = {folder.name: folder for _, folder in run.checkpoint_folders()}
        if name not in known:
            raise ModelError("unknown_checkpoint", f"The run '{run.id}' has no '{name}'.",
                             f"It has: {', '.join(known) or 'none'}.")
        if problem := find_problem(known[name], thorough=False):
            raise ModelError("bad_checkpoint", f"'{name}' cannot be used: {problem}.",
                             "Choose another one.")

    def _folder(self, name: str, revision: str | None = None) -> ModelFacts:
        source = resolve_model(name, self.home.runs, revision)
        folder = Path(source.base) if source.is_folder else cached_snapshot(source.base,
                                                                            source.revision)
        if folder is None:
            raise ModelError("base_not_here", f"'{source.base}' is not on this machine.",
                             "Download it first: the Models page, or `finestra models fetch`.")
        return read_folder(folder)

    def _sizes(self, config: ExportConfig, facts: ModelFacts,
               found: list[Problem]) -> list[Choice]:
        """Say how large each format will be, about; refuse what the disk has no room for."""
        sizes = {name: size_of(name, config, facts) for name in config.formats}
        needed = sum(sizes.values()) + (0 if "merged" in sizes or config.formats == ["adapter"]
                                        else facts.weight_bytes)
        free = shutil.disk_usage(self.home.runs).free
        if needed > free:
            found.append(_problem(
                "formats", "disk_full", f"The export needs about {needed / 1e9:.1f} GB; the disk "
                f"has {free / 1e9:.1f} GB left.", "Free some space, or choose fewer formats.",
                f"{needed / 1e9:.1f}", machine=True))
        return [Choice(f"format.{name}", f"{size / 1e6:,.0f} MB", "about")
                for name, size in sizes.items() if size]

    def _merge(self, config: MergeConfig) -> tuple[list[Problem], list[Choice]]:
        found: list[Problem] = []
        for at, source in enumerate(config.sources):
            try:
                self._merge_source(config, source.name)
            except _TROUBLE as error:
                found.append(_of_error(f"sources.{at}.name", error, source.name))
        if config.what == "models" and config.base:
            try:
                self._folder(config.base)
            except _TROUBLE as error:
                found.append(_of_error("base", error, config.base))
        return found, []

    def _merge_source(self, config: MergeConfig, name: str) -> None:
        run = self._run(name)
        if config.what == "models":
            folder = run.model if run else None
            if folder is not None and not (folder / "config.json").is_file():
                raise ModelError("adapter_not_model", f"The run '{name}' trained an adapter, not "
                                 "a whole model.", "Merge adapters, or export it merged first.")
            self._folder(name)
            return
        adapter = run.adapter if run else Path(os.path.expanduser(name))
        facts = read_adapter(adapter)
        if facts.kind != "LORA":
            raise ModelError("adapter_kind", f"'{name}' is {facts.kind or 'no adapter'}; adapters "
                             "are merged when they are LoRA.", "Export it as a merged model, and "
                             "merge models.")


def size_of(name: Format, config: ExportConfig, facts: ModelFacts) -> int:
    """Return about how many bytes a format takes; 0 where nobody knows before."""
    bits = FORMATS[name].bits
    if name == "adapter":
        return 0
    if name == "merged":
        bits = {"float32": 32, "bfloat16": 16, "float16": 16}.get(config.dtype, 0)
    return int(facts.parameters * bits / 8) if bits else facts.weight_bytes


def _missing_parts(formats: Sequence[Format]) -> Iterator[Problem]:
    """Name the packages that formats need and that are not installed."""
    for extra in dict.fromkeys(FORMATS[name].extra for name in formats):
        module, variable, command = PARTS.get(extra, ("", "", ""))
        if not extra or find_spec(module) is not None or os.environ.get(variable):
            continue
        wanted = ", ".join(name for name in formats if FORMATS[name].extra == extra)
        named = f", and name an interpreter that has it in {variable}" if variable else ""
        yield _problem("formats", "part_missing", f"Writing {wanted} needs {module}, which is not "
                       "installed.", f"Install it: {command}{named}.", wanted, machine=True)


def _of_a_base(config: ExportConfig) -> Iterator[Problem]:
    for name in ("merged", "adapter"):
        if name in config.formats:
            yield _problem("formats", "nothing_learned", f"'{config.source}' is a base: there is "
                           f"nothing to write as '{name}'.", "Choose a run, or other formats.",
                           config.source)


def _unfit(config: ExportConfig, facts: ModelFacts) -> Iterator[Problem]:
    kind = str(facts.config.get("model_type") or "")
    if config.has("gguf") and kind not in GGUF_MODELS \
            and not os.environ.get("FINESTRA_LLAMA_CPP"):
        yield _problem("formats", "family_unknown", f"Models of the type '{kind}' cannot be "
                       f"written as GGUF here; these can: {', '.join(GGUF_MODELS)}.",
                       "Name a checkout of llama.cpp in FINESTRA_LLAMA_CPP, or export merged "
                       "weights.", kind)
    if facts.quantization and config.formats != ["adapter"]:
        yield _problem("source", "weights_quantized", "The base is stored quantized "
                       f"({facts.quantization}); merging would round it once more.",
                       "Train on its 16-bit weights, or export the adapter alone.",
                       facts.quantization)


def _of_error(where: str, error: Exception, name: str) -> Problem:
    message, advice = message_and_advice(error)
    if isinstance(error, OSError):
        message = f"'{name[:200]}' cannot be read: {error.strerror}."
    return _problem(where, getattr(error, "code", "model_unreadable"), message, advice, name)


def _problem(where: str, code: str, message: str, advice: str, name: str, *,
             machine: bool = False) -> Problem:
    return Problem(field=where, code=code, message=message, advice=advice,
                   scope="machine" if machine else "config", params={"name": name})
