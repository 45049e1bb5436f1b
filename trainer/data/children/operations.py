"""What a data worker can be asked: name -> function(params, say) -> result, JSON both ways.

``say(**values)`` sends one progress document. Params in [brackets] may be left out. SOURCE stands
for ``source, [home], [use: {subset, split, revision}], [mapping]``, MODEL for ``model_folder,
[template]`` ('auto' by default).

describe        MODEL -> {template_source, digest, how, reason, name, eos, eos_ids,
                special_tokens, stop_strings}; ``eos_missing`` when nothing ends an answer
encode_prompt   MODEL, messages, [tools], [values] -> {input_ids, text}: up to where the assistant
                begins; ``values`` are what the template may read besides
encode_prompts  MODEL, prompts: [{messages, [tools], [values]}] -> {prompts: [{input_ids, text}]}
preview         SOURCE, MODEL, row, [objective, max_length, overlong, train_on_prompt,
                mask_history, labels] -> {row, objective, rows (their kind), text, segments:
                [{text, trained}], input_ids, labels, tokens, trained_tokens, cut: {turns, tokens,
                dropped}, cut_text (turns left out), cut_at (where they stood in ``text``),
                cut_tail, template: {name, how, reason}}, all of it as after cutting (of a dropped
                row as it is). A pair: the same of its chosen side, and ``chosen`` and
                ``rejected``: {text, segments, input_ids, labels}; a judged answer: ``label``;
                plain text: ``blocks``; a prompt: ``reference``; a text with a class: its name as
                ``reference``. With tools: ``tools``. Of what the template does not show:
                ``warnings``: [{code, message}]. A bad row: {row, objective, rows, problem: {row,
                column, code, message, severity}}
lengths         SOURCE, MODEL, [objective, max_length, most_rows] -> {rows (read), measured,
                sampled, p50, p95, p99, max, tokens, over_max_length (rows), tokens_over,
                histogram: [[from, below, rows], ...], refused, objective, max_length, warnings:
                [{code, message}]}; counts of a sample are scaled up
check           SOURCE, [objective, max_samples] -> {report}: the document of ``data check`` with
                the first 20 problems; the home's ReportStore has all
fetch           SOURCE -> {path, bytes}; needs a worker that keeps secrets for private datasets
fix             SOURCE, folder, [drop_bad, deduplicate, near_threshold, filters] -> FixReport
split           SOURCE, folder, size, [seed] -> SplitReport; both write files, register nothing
plan, survey, shard, finish   the steps of ``prepare.prepare``

Progress has ``rows``, ``bytes_done`` and ``bytes_total``, those of them that are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Params = Mapping[str, Any]
Say = Callable[..., None]
Result = dict[str, Any]
Operation = Callable[[Params, Say], Result]


def _describe(params: Params, say: Say) -> Result:
    from trainer.data.tokens.loaded import describe

    return describe(_model(params))


def _encode_prompt(params: Params, say: Say) -> Result:
    return _prompt(_model(params), params)


def _encode_prompts(params: Params, say: Say) -> Result:
    model = _model(params)
    return {"prompts": [_prompt(model, prompt) for prompt in params["prompts"]]}


def _model(params: Params) -> Any:
    from trainer.data.tokens.loaded import load

    return load(Path(params["model_folder"]), params.get("template") or "auto")


def _prompt(model: Any, params: Params) -> Result:
    template = model.template.with_values(params.get("values") or {})
    rendered = template.render(params["messages"], params.get("tools"), add_generation_prompt=True)
    return {"input_ids": model.tokenizer.encode(rendered).input_ids, "text": rendered.text}


def _preview(params: Params, say: Say) -> Result:
    from trainer.data.tokens.preview import preview

    return preview(params)


def _lengths(params: Params, say: Say) -> Result:
    from trainer.data.tokens.lengths import lengths

    return lengths(params, say)


def _job(name: str) -> Operation:
    """Return the function of ``jobs`` with that name, imported when it is first used."""
    def work(params: Params, say: Say) -> Result:
        from trainer.data.children import jobs

        chosen: Operation = {"check": jobs.check, "fetch": jobs.fetch, "fix": jobs.fix,
                             "split": jobs.split}[name]
        return chosen(params, say)
    return work


def _plan(params: Params, say: Say) -> Result:
    from trainer.data.tokens.plan import plan

    return plan(params, say)


def _survey(params: Params, say: Say) -> Result:
    from trainer.data.tokens.survey import survey

    return survey(params, say)


def _shard(params: Params, say: Say) -> Result:
    from trainer.data.tokens.shard import shard

    return shard(params, say)


def _finish(params: Params, say: Say) -> Result:
    from trainer.data.tokens.shard import finish

    return finish(params, say)


OPERATIONS: dict[str, Operation] = {
    "describe": _describe, "encode_prompt": _encode_prompt, "encode_prompts": _encode_prompts,
    "preview": _preview, "lengths": _lengths, "check": _job("check"), "fetch": _job("fetch"),
    "fix": _job("fix"), "split": _job("split"), "plan": _plan, "survey": _survey,
    "shard": _shard, "finish": _finish}
