"""Putting a script together: settings, blocks of plain Python, a main part."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat
from typing import Any

from app.script.adapters import adapter
from app.script.gather import Ingredients, gather
from app.script.losses import preference_loss
from app.script.settings import arguments, objective
from trainer.contract import ConfigError, Problem, RunConfig
from trainer.contract.places import share

ROWS = {"turns": "turns", "text": "text", "pairs": "pairs", "judged": "judged",
        "prompts": "prompts", "labelled": "labelled"}
MAIN = {"sft": "main_sft", "pretrain": "main_sft", "dpo": "main_dpo", "kto": "main_kto",
        "orpo": "main_free", "simpo": "main_free", "cpo": "main_free", "reward": "main_reward",
        "classification": "main_class", "grpo": "main_rollout", "rloo": "main_rollout"}
REWARDS = {"exact_answer": ("exact_answer", ("pattern",)), "regex": ("regex", ("pattern",)),
           "format": ("format_of", ("pattern",)), "length": ("length", ("target",))}


@dataclass(frozen=True)
class Script:
    """A script, and what it does otherwise than the run."""

    text: str
    differs: list[str]


def write_script(config: RunConfig, *, home: Path | None, runs: Path) -> Script:
    """Write a script that trains what a run trains, without Finestra.

    Args:
        config: The run's config.
        home: Finestra's home, whose registry names datasets.
        runs: The folder that holds the runs.

    Raises:
        ConfigError: A file cannot be found, or the objective has no plain script.
    """
    if config.objective not in MAIN:
        raise ConfigError([Problem(
            field="objective", code="script_objective",
            message=f"There is no plain script for the objective '{config.objective}'.",
            advice="Only its config can be carried: train it with 'finestra train'.",
            params={"objective": config.objective})])
    found = gather(config, home, runs)
    parts = [_settings(found), _part("rows"), _tokenizer(found), _part("chat"),
             _part(ROWS[config.facts.rows]), _model(found), *_order(found), _part("order"),
             _objective(found), _main_part(config), _run(found)]
    imports, bodies = _hoisted(parts)
    return Script("\n".join([_head(found), "", *imports, "", "\n\n\n".join(bodies), ""]),
                  found.differs)


def _head(found: Ingredients) -> str:
    config = found.config
    said = [f"Trains '{config.name}' ({config.objective}, {config.tuner.type}) with Transformers, "
            "TRL and PEFT alone.", "", "Written by Finestra. The rows, their order, what is "
            "learned of them and the arguments", "are those of the run; change what you like.",
            "Needs: pip install torch transformers trl peft datasets accelerate"
            + (" bitsandbytes" if config.model.quantization != "none" else "")]
    if found.differs:
        said += ["", "What differs from the run:", *(f"- {text}" for text in found.differs)]
    text = "\n".join(said).replace("\\", "/").replace('"""', "'''")
    return f'"""{text}\n"""'


def _settings(found: Ingredients) -> str:
    """Write the settings that the blocks read."""
    config, data = found.config, found.config.data
    values: dict[str, Any] = {
        "DATA": found.train, "HELD_OUT": found.held, "VAL_SIZE": data.val_size,
        "SEED": config.training.seed, "MAX_LENGTH": data.max_length, "OVERLONG": data.overlong,
        "SKIP_BAD_ROWS": data.bad_rows == "skip", "SHUFFLE": data.shuffle,
        "GROUP_BY_LENGTH": _grouped(config)}
    if config.facts.rows == "turns":
        values |= {"TRAIN_ON_PROMPT": data.train_on_prompt, "MASK_HISTORY": data.mask_history}
    if config.facts.rows in ("pairs", "judged"):
        values["NO_DROPOUT"] = config.tuner.lora_dropout == 0
    if config.facts.rows == "labelled":
        values["CLASSES"] = list(config.classification.labels)
    if len(found.train) > 1:
        values |= {"WEIGHTS_OF_DATA": [use.weight for use in data.uses("train")],
                   "MIX_STRATEGY": data.mix_strategy}
    if config.facts.rows == "judged" and data.val_size and any(
            source["columns"].get("chosen") for source in found.train):
        found.differs.append("The two answers of a pair may be parted by the validation split.")
    return "\n".join(f"{name} = {_shown(value)}" for name, value in values.items())


def _grouped(config: RunConfig) -> bool:
    packed = config.objective == "sft" and config.training.packing != "none"
    return (config.training.group_by_length and config.data.shuffle and not packed
            and config.facts.rows != "judged")


def _shown(value: Any) -> str:
    return pformat(value, width=96, sort_dicts=False)


def _tokenizer(found: Ingredients) -> str:
    """Write how the tokenizer is loaded, and the chat template."""
    lines = [f"MODEL = {found.model.base!r}", f"REVISION = {found.model.revision!r}",
             "tokenizer = AutoTokenizer.from_pretrained(MODEL, revision=REVISION)",
             "if tokenizer.pad_token is None:", "    tokenizer.pad_token = tokenizer.eos_token",
             "BEFORE = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]",
             "AFTER = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]",
             "TEMPLATE = tokenizer.chat_template" if found.template is None
             else f"TEMPLATE = {_long_text(found.template)}"]
    return "from transformers import AutoTokenizer\n\n" + "\n".join(lines)


def _long_text(text: str) -> str:
    """Write a text as a readable literal."""
    if '"""' in text or text.endswith(('"', "\\")):
        return repr(text)
    escaped = text.replace("\\", "\\\\")
    return f'"""{escaped}"""'


def _model(found: Ingredients) -> str:
    """Write how the model is loaded, and the adapter."""
    config = found.config
    head = {"classification": ", num_labels=len(CLASSES)", "reward": ", num_labels=1"}.get(
        config.objective, "")
    kind = "AutoModelForSequenceClassification" if head else "AutoModelForCausalLM"
    trains_base = config.tuner.type in ("full", "freeze")
    compute = ("COMPUTE = torch.bfloat16 if CUDA else torch.float32"
               if config.model.dtype == "auto" else f"COMPUTE = torch.{config.model.dtype}")
    held = "COMPUTE" if not trains_base or config.training.pure_bf16 else "torch.float32"
    lines = ["import torch", f"from transformers import {kind}, set_seed", "",
             f"CUDA = torch.cuda.is_available() and {config.training.device != 'cpu'}", compute,
             f"WEIGHTS = {held}", "", "", "def load_model():",
             '    """Return the model, ready to be trained or to carry an adapter."""',
             "    set_seed(SEED)", f"    options = {{'dtype': WEIGHTS{_attention(config)}}}",
             *_quantization(config),
             f"    model = {kind}.from_pretrained(MODEL, revision=REVISION{head}, **options)",
             *_merging(found), *_freezing(config)]
    if head:
        lines.append("    model.config.pad_token_id = tokenizer.pad_token_id")
    lines += ["    return model", "", "", *_adapter(found)]
    return "\n".join(lines)


def _attention(config: RunConfig) -> str:
    name = config.model.attn_implementation
    return "" if name == "auto" else f", 'attn_implementation': {name!r}"


def _quantization(config: RunConfig) -> list[str]:
    kind = config.model.quantization
    if kind == "none":
        return []
    if kind == "int8":
        inner = "load_in_8bit=True"
    else:
        inner = (f"load_in_4bit=True, bnb_4bit_quant_type={kind!r}, "
                 f"bnb_4bit_use_double_quant={config.model.double_quantization}, "
                 "bnb_4bit_compute_dtype=COMPUTE")
    return ["    from transformers import BitsAndBytesConfig", "",
            f"    options['quantization_config'] = BitsAndBytesConfig({inner})",
            "    options['device_map'] = {'': 'cuda' if CUDA else 'cpu'}"]


def _merging(found: Ingredients) -> list[str]:
    if not found.model.adapters:
        return []
    names = [str(path) for path in found.model.adapters]
    return ["    from peft import PeftModel", "", f"    for adapter in {names!r}:",
            "        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()"]


def _freezing(config: RunConfig) -> list[str]:
    if config.tuner.type != "freeze":
        return []
    own = config.tuner.freeze
    return [f"    count, modules, extra = {own.layers}, {list(own.modules)}, "
            f"{list(own.extra_modules)}",
            "    layers = range(model.config.num_hidden_layers)",
            "    trained = {f'layers.{n}.' for n in (layers[-count:] if count > 0 else "
            "layers[:-count])}",
            "    for name, weight in model.named_parameters():",
            "        inside = any(layer in name for layer in trained) and (",
            "            not modules or any(part in name for part in modules))",
            "        weight.requires_grad_(inside or any(part in name for part in extra))"]


def _adapter(found: Ingredients) -> list[str]:
    if found.config.tuner.continue_from:
        found.differs.append("The adapter to continue is not loaded: give it to PeftModel."
                             "from_pretrained(..., is_trainable=True) in load_model.")
    made = adapter(found)
    if made is None:
        return ["ADAPTER = None"]
    name, kwargs = made
    inner = ",\n".join(f"    {key}={value!r}" for key, value in kwargs.items())
    return [f"from peft import {name}", "", f"ADAPTER = {name}(\n{inner})"]


def _objective(found: Ingredients) -> str:
    """Write what only the objective has."""
    config = found.config
    if config.objective in ("orpo", "simpo", "cpo"):
        return preference_loss(config)
    values = objective(config)
    if config.objective == "sft" and config.sft.loss_type in ("eaft", "asft"):
        found.differs.append(f"The loss '{config.sft.loss_type}' is Finestra's own: the script "
                             "learns by cross-entropy.")
    if config.objective == "dpo" and config.dpo.reference_free:
        found.differs.append("The reference is the model as it was, not a uniform one.")
    return f"OBJECTIVE = {_shown(values)}"


def _main_part(config: RunConfig) -> str:
    text = _part(MAIN[config.objective])
    if config.objective == "sft" and config.training.packing != "none":
        text = text.replace("max_length=None, packing=False,\n"
                            "                         dataset_kwargs={\"skip_prepare_dataset\": "
                            "True}, **OBJECTIVE", "**OBJECTIVE")
        text = text.replace("class Trainer(InOrder, SFTTrainer)", "class Trainer(SFTTrainer)")
    if config.objective in ("grpo", "rloo"):
        upper = config.objective.upper()
        text = text.replace("ROLLOUT_CONFIG", f"{upper}Config").replace("ROLLOUT_TRAINER",
                                                                        f"{upper}Trainer")
        text = text.replace("def train(", f"{_rewards(config)}\n\n\ndef train(")
    return text


def _rewards(config: RunConfig) -> str:
    """Write the list of rewards."""
    lines = ["from functools import partial, update_wrapper", "", "REWARDS = ["]
    for use in config.rollout.rewards:
        if use.name not in REWARDS:
            raise ConfigError([Problem(
                field="rollout.rewards", code="script_reward",
                message=f"The reward '{use.name}' has no plain form.",
                advice="Leave it out here, and write it as a function into the script.",
                params={"name": use.name})])
        name, keys = REWARDS[use.name]
        given = ", ".join(f"{key}={getattr(use, key)!r}" for key in keys
                          if getattr(use, key) is not None)
        lines.append(f"    update_wrapper(partial({name}{', ' if given else ''}{given}), {name}),")
    return "\n".join([*lines, "]"])


def _run(found: Ingredients) -> str:
    """Write the end: rows, arguments, training, saving."""
    kind = "bf16=COMPUTE == torch.bfloat16, fp16=COMPUTE == torch.float16"
    pure = found.config.training.pure_bf16
    inner = "\n".join(f"    {key}={value!r}," for key, value in arguments(found).items())
    return "\n".join([
        "ARGUMENTS = dict(", inner, f"    {'bf16=False' if pure else kind},",
        "    use_cpu=not CUDA,", "    dataloader_pin_memory=CUDA,", ")", "", "",
        "def split(rows):", '    """Take the rows that are held out, chosen by the seed."""',
        "    count = max(1, round(len(rows) * VAL_SIZE)) if VAL_SIZE < 1 else int(VAL_SIZE)",
        '    held = set(random.Random(f"split:{SEED}").sample(range(len(rows)), count))',
        "    return ([row for n, row in enumerate(rows) if n not in held],",
        "            [rows[n] for n in sorted(held)])", "", "",
        "def main():", '    """Read, train, save; returns the trainer."""',
        "    rows = [(n, row) for n, source in enumerate(DATA) for row in make_rows([source])]",
        "    held = make_rows(HELD_OUT)", "    if VAL_SIZE and not held:",
        "        rows, taken = split(rows)", "        held = [row for _, row in taken]",
        *(["    counts = [sum(n == which for n, _ in rows) for which in range(len(DATA))]",
           "    order = mixed_order(counts, WEIGHTS_OF_DATA, MIX_STRATEGY, SEED)",
           "    rows = [rows[place] for place in order]"] if len(found.train) > 1 else []),
        "    rows = [row for _, row in rows]",
        "    arguments = {**ARGUMENTS, 'eval_strategy': 'steps' if held else 'no'}",
        "    if not CUDA:",
        "        arguments['optim'] = arguments['optim'].removeprefix('paged_')",
        "    trainer = train(rows, held, arguments)",
        "    trainer.lengths = [length_of(row) for row in rows]",
        "    trainer.train()", "    trainer.save_model('output/final')",
        "    tokenizer.save_pretrained('output/final')", "    return trainer", "", "",
        "if __name__ == \"__main__\":", "    main()"])


def _part(name: str) -> str:
    """Return a block of plain Python that comes with Finestra."""
    return (share() / "templates" / "script" / f"{name}.py").read_text(encoding="utf-8").strip()


def _order(found: Ingredients) -> list[str]:
    """Write our own pure functions: the order of an epoch, and of a mixture."""
    parts = ["import random\nfrom collections.abc import Sequence\n\n"
             + _own_source("trainer/sampling.py", "epoch_order")]
    if len(found.train) > 1:
        names = ("mixed_order", "_concat", "_in_turns", "_drawn")
        parts.append("from collections.abc import Iterator\nfrom itertools import accumulate, "
                     "chain, repeat\n\n_DRAWN = 1000\nStrategy = str\n\n\n" + "\n\n\n".join(
                         _own_source("trainer/data/tokens/mix.py", name) for name in names))
    return parts


def _own_source(module: str, name: str) -> str:
    """Return the source of one of our own pure functions."""
    path = Path(__file__).resolve().parents[2] / module
    text = path.read_text(encoding="utf-8")
    node = next(n for n in ast.parse(text).body
                if isinstance(n, ast.FunctionDef) and n.name == name)
    return ast.get_source_segment(text, node) or ""


def _hoisted(parts: list[str]) -> tuple[list[str], list[str]]:
    """Take the imports at the top of a file's level out of all parts, each once, sorted."""
    found: list[ast.stmt] = []
    bodies: list[str] = []
    for part in parts:
        lines = part.splitlines()
        for node in ast.parse(part).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                found.append(node)
                for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                    lines[number] = ""
        body = "\n".join(lines).strip("\n")
        bodies.append(body)
    return _sorted_imports(found), [body for body in bodies if body]


def _sorted_imports(found: list[ast.stmt]) -> list[str]:
    """Return imports, one line a module, the standard library's first."""
    plain = {alias.name for node in found if isinstance(node, ast.Import) for alias in node.names}
    taken: dict[str, set[str]] = {}
    for node in found:
        if isinstance(node, ast.ImportFrom):
            taken.setdefault(node.module or "", set()).update(a.name for a in node.names)
    lines: dict[bool, list[str]] = {True: [], False: []}
    for name in sorted(plain):
        lines[_in_python(name)].append(f"import {name}")
    for name in sorted(taken):
        lines[_in_python(name)].append(f"from {name} import {', '.join(sorted(taken[name]))}")
    return [*lines[True], "", *lines[False]]


def _in_python(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names
