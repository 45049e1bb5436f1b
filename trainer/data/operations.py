"""What a data worker can be asked: name -> function(params, say) -> result, JSON both ways.

``say(**values)`` sends one progress document. Params in [brackets] may be left out. SOURCE stands
for ``source, [home], [use: {subset, split, revision}], [mapping]``, MODEL for ``model_folder,
[template]`` ('auto' by default).

describe        MODEL -> {template_source, digest, how, reason, name, eos, eos_ids,
                special_tokens, stop_strings}; DatasetError ``eos_missing`` when nothing ends an answer
encode_prompt   MODEL, messages, [tools] -> {input_ids, text}: up to where the assistant begins
encode_prompts  MODEL, prompts: [{messages, [tools]}] -> {prompts: [{input_ids, text}]}
preview         SOURCE, MODEL, row, [objective, max_length, overlong, train_on_prompt,
                mask_history] -> {row, objective, text, segments: [{text, trained}], input_ids,
                labels, tokens, trained_tokens, cut: {turns, tokens, dropped}, cut_text (turns left
                out at the front), cut_tail, template: {name, how, reason}}, all of it as after
                cutting (of a dropped row as it is). A pair: the same of its chosen side, and
                ``chosen`` and ``rejected``: {text, segments, input_ids, labels}. KTO: ``label``.
                Plain text: ``blocks``. A bad row: {row, objective, problem: {row, column, code,
                message, severity}}
plan, survey, shard, finish   the steps of ``prepare.prepare``
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Params = Mapping[str, Any]
Say = Callable[..., None]
Result = dict[str, Any]


def _describe(params: Params, say: Say) -> Result:
    from trainer.data.loaded import describe

    return describe(_model(params))


def _encode_prompt(params: Params, say: Say) -> Result:
    return _prompt(_model(params), params)


def _encode_prompts(params: Params, say: Say) -> Result:
    model = _model(params)
    return {"prompts": [_prompt(model, prompt) for prompt in params["prompts"]]}


def _model(params: Params) -> Any:
    from trainer.data.loaded import load

    return load(Path(params["model_folder"]), params.get("template") or "auto")


def _prompt(model: Any, params: Params) -> Result:
    rendered = model.template.render(params["messages"], params.get("tools"),
                                     add_generation_prompt=True)
    return {"input_ids": model.tokenizer.encode(rendered).input_ids, "text": rendered.text}


def _preview(params: Params, say: Say) -> Result:
    from trainer.data.preview import preview

    return preview(params)


def _plan(params: Params, say: Say) -> Result:
    from trainer.data.plan import plan

    return plan(params, say)


def _survey(params: Params, say: Say) -> Result:
    from trainer.data.survey import survey

    return survey(params, say)


def _shard(params: Params, say: Say) -> Result:
    from trainer.data.shard import shard

    return shard(params, say)


def _finish(params: Params, say: Say) -> Result:
    from trainer.data.shard import finish

    return finish(params, say)


OPERATIONS: dict[str, Callable[[Params, Say], Result]] = {
    "describe": _describe, "encode_prompt": _encode_prompt, "encode_prompts": _encode_prompts,
    "preview": _preview, "plan": _plan, "survey": _survey, "shard": _shard, "finish": _finish}
