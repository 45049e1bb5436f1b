"""A training file of LLaMA-Factory 0.9.5 as a run config, with a word on every key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from app.migrate.absent import ABSENT, ALWAYS, HANDED_ON, OFF, OLD, UNKNOWN, is_off
from app.migrate.data import data
from app.migrate.draft import Draft
from app.migrate.finish import finish
from app.migrate.known import DEFAULTS
from app.migrate.model import model
from app.migrate.objective import NOT_HERE, objective
from app.migrate.optimizing import optimizing
from app.migrate.reading import filled, read_keys, read_overrides
from app.migrate.rows import Imported
from app.migrate.training import tracking, training
from app.migrate.tuner import tuner


def import_llamafactory(text: str, *, folder: Path | None = None,
                        overrides: Iterable[str] = ()) -> Imported:
    """Make a run config of a training file of LLaMA-Factory.

    Args:
        text: The file, YAML or JSON.
        folder: Where the file lies, to look for its datasets and models beside it; None looks
            at no file at all.
        overrides: ``key=value`` texts that go before the file's keys.

    Returns:
        A config that always parses, a row for every key of the file, and what speaks against it
        being a training run.

    Raises:
        ConfigError: The text is neither YAML nor JSON, or holds no mapping; or an override is
            none.
    """
    source, old = _renewed(filled({**read_keys(text), **read_overrides(overrides)}))
    draft = Draft(source)
    _purpose(draft)
    chosen = objective(draft)
    model(draft, folder)
    tuner(draft)
    data(draft, chosen, folder)
    training(draft)
    optimizing(draft)
    tracking(draft)
    _rest(draft)
    values = finish(draft)
    values.setdefault("name", "llamafactory")
    report = [replace(row, key=old.get(row.key, row.key)) for row in draft.report()]
    return Imported(values, report, draft.defaults, draft.problems)


def _renewed(source: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Read keys of older releases by their present names; also return how the file calls them."""
    renewed: dict[str, Any] = {}
    old: dict[str, str] = {}
    for key, value in source.items():
        now = OLD.get(key, key)
        if now != key and now not in source and now not in renewed:
            renewed[now] = value
            old[now] = key
        else:
            renewed[key] = value
    return renewed, old


def _purpose(draft: Draft) -> None:
    """Tell files that train from those that do something else."""
    trains = draft.flag("do_train", True)
    others = [key for key in ("do_predict", "do_eval") if draft.flag(key)]
    if any(key.startswith(("top.", "train.")) for key in draft.source):
        draft.refuse("import_webui", "This is what LLaMA Board keeps of its form, not a training "
                     "file.", "Take training_args.yaml from the output folder of a run instead.")
        for key in draft.source:
            if key.startswith(("top.", "train.")):
                draft.drop(key, "It is a field of LLaMA Board's form.")
    elif "export_dir" in draft.source:
        draft.refuse("import_export", "This file exports a model, it does not train one.",
                     "The result of a run lies in its folder, as adapter/ or model/; there "
                     "is no command yet that merges or converts it.")
    elif "task" in draft.source:
        draft.refuse("import_benchmark", "This file runs a benchmark, it does not train.",
                     "There are no benchmarks yet; evaluation.exact_match counts right answers to "
                     "questions of your own, before and after training.")
    elif not trains or (others and "do_train" not in draft.source):
        draft.refuse("import_no_training", "This file only measures or predicts: do_train is not "
                     "true.", "Set do_train: true to train; a finished run can be asked on its "
                     "page.")
    elif "infer_backend" in draft.source and "dataset" not in draft.source:
        draft.refuse("import_inference", "This file is for inference: it names no training data.",
                     "Talk to a model with the Run page's chat.")
    if "do_train" in draft.source and "do_train" not in draft.rows:
        draft.say("do_train", "kept" if trains else "dropped",
                  "A run always trains." if trains else "A run always trains; see above.")


def _rest(draft: Draft) -> None:
    """Settle every key that has not been spoken of yet."""
    for key in [key for key in draft.source if key not in draft.rows]:
        value = draft.source[key]
        if key in ALWAYS:
            draft.say(key, "kept", ALWAYS[key])
        elif key in ABSENT:
            off = is_off(value) or value == DEFAULTS.get(key, object())
            draft.say(key, "kept" if off else "dropped", OFF if off else ABSENT[key])
        elif key in HANDED_ON:
            draft.drop(key, HANDED_ON[key])
        elif key in DEFAULTS:
            draft.drop(key, NOT_HERE)
        elif key in OLD:
            draft.drop(key, f"{OLD[key]} is its name now, and stands there too.")
        else:
            close = get_close_matches(key, list(DEFAULTS), n=1, cutoff=0.8)
            draft.drop(key, f"{UNKNOWN} Did you mean {close[0]}?" if close else UNKNOWN)
