"""The engine as a model of lm-evaluation-harness; importing this imports lm-eval.

Tokens, the begin of a text, what is cut from the left and where an answer ends follow lm-eval's
own class for Transformers (``HFLM``), so that numbers are those of its own runs. One thing differs:
an engine needs room for a token that it writes, so that a text whose likelihood is asked may have
two tokens less than the context.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import (
    handle_stop_sequences,
    normalize_gen_kwargs,
    postprocess_generated_text,
)
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from trainer.evaluation.benchmarks.desk import Desk, Job, Value
from trainer.evaluation.benchmarks.words import Words
from trainer.failures import Failure

# As HFLM: the longest answer where the task says nothing.
LONGEST_ANSWER = 256
# Engines take so many stop texts, and OpenAI four; all are looked for again here.
MOST_STOPS, OPENAI_STOPS = 16, 4
_DRAWS = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


class EngineLM(TemplateLM):
    """Asks an engine over HTTP; without a tokenizer only for answers to texts or conversations."""

    def __init__(self, desk: Desk, words: Words | None, *, context: int = 0, seed: int = 0) -> None:
        """Ask at a desk.

        Args:
            desk: Sends requests.
            words: The tokenizer and the template.
            context: Tokens that the engine takes; 0 when it is not known.
            seed: Of answers that are drawn.
        """
        super().__init__()
        self.desk, self.words, self.seed = desk, words, seed
        self.context = words.length(context) if words else context

    @property
    def _read(self) -> Words:
        if self.words is None:
            raise Failure("benchmark_likelihood", "Likelihoods need the model's tokenizer, which "
                          "is not known here.", "Ask a model through vLLM or Transformers.")
        return self.words

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return self._read.end

    @property
    def prefix_token_id(self) -> int:
        """The token that a text follows which has nothing before it."""
        return self._read.begin

    @property
    def tokenizer_name(self) -> str:
        """What prompts were rendered with."""
        return self.words.name if self.words else ""

    def chat_template(self, chat_template: bool | str = False) -> str:
        """Return '': conversations are rendered elsewhere."""
        return ""

    def tok_encode(self, string: str, add_special_tokens: bool | None = None,
                   **kwargs: Any) -> list[int]:
        """Return a text's tokens."""
        return self._read.encode(string, add_special_tokens)

    def apply_chat_template(self, chat_history: list[dict[str, str]],
                            add_generation_prompt: bool = True) -> str:
        """Return a conversation as text; as JSON where the engine renders it itself."""
        if self.words is None:
            return json.dumps(chat_history, ensure_ascii=False)
        return self.words.render(chat_history, add_generation_prompt)

    def loglikelihood(self, requests: list[Instance],
                      disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """Return (log-likelihood, whether greedy decoding says it) of continuations."""
        found: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return found

    def _loglikelihood_tokens(self, requests: Sequence[tuple[Any, list[int], list[int]]],
                              **kwargs: Any) -> list[tuple[float, bool]]:
        jobs = [self._scored(context, continuation) for _, context, continuation in requests]
        order = sorted(range(len(jobs)), key=lambda at: -len(jobs[at].body["prompt"]))
        found = self.desk.ask([jobs[at] for at in order])
        by_place = dict(zip(order, found, strict=True))
        return [(float(by_place[at][0]), bool(by_place[at][1])) for at in range(len(jobs))]

    def loglikelihood_rolling(self, requests: list[Instance],
                              disable_tqdm: bool = True) -> list[float]:
        """Return the log-likelihood of whole texts, window after window."""
        windows, sizes = [], []
        for (text,) in [one.args for one in requests]:
            some = [make_disjoint_window(pair) for pair in get_rolling_token_windows(
                self.tok_encode(text), self.prefix_token_id, self._longest, context_len=1)]
            windows += [(None, *pair) for pair in some]
            sizes.append(len(some))
        scored = iter(self._loglikelihood_tokens(windows))
        return [float(sum(next(scored)[0] for _ in range(size))) for size in sizes]

    @property
    def _longest(self) -> int:
        """How many tokens may stand before the last one whose likelihood is asked."""
        return max(1, self.context - 2)

    def _scored(self, context: list[int], continuation: list[int]) -> Job:
        """Ask for the likelihood of a continuation; what does not fit is cut from the left."""
        if not continuation or len(continuation) > self._longest:
            raise Failure("benchmark_task", f"A choice of '{self.desk.task}' has "
                          f"{len(continuation):,} tokens; it may have 1 to {self._longest:,}.",
                          "Ask a model with a longer context.")
        ids = (context + continuation)[-(self._longest + 1):]
        wanted = ids[-len(continuation):]

        def read(reply: dict[str, Any]) -> Value:
            told = reply["choices"][0]["prompt_logprobs"][-len(wanted):]
            found = [place[str(token)] for place, token in zip(told, wanted, strict=True)]
            return [sum(float(one["logprob"]) for one in found),
                    float(all(one["rank"] == 1 for one in found))]

        return Job("/completions", {"prompt": ids, "prompt_logprobs": 0, "max_tokens": 1,
                                    "temperature": 0, "stream": False}, read, len(continuation))

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """Return answers, each up to the first text that ends it."""
        times: Counter[str] = Counter()
        jobs, ends = [], []
        for prompt, given in [one.args for one in requests]:
            kwargs: dict[str, Any] = dict(normalize_gen_kwargs(given, LONGEST_ANSWER))
            until = [end for end in handle_stop_sequences(kwargs.pop("until", None), None) if end]
            key = json.dumps([prompt, given], sort_keys=True, default=str)
            jobs.append(self._answered(prompt, kwargs, until, times[key]))
            times[key] += 1
            ends.append(until)
        order = sorted(range(len(jobs)), key=lambda at: -len(jobs[at].body.get("prompt", "")))
        by_place = dict(zip(order, self.desk.ask([jobs[at] for at in order]), strict=True))
        return [postprocess_generated_text(str(by_place[at]), self._all_ends(until), None)
                for at, until in enumerate(ends)]

    def _all_ends(self, until: list[str]) -> list[str]:
        if self.words is None:
            return until
        return handle_stop_sequences(list(until), self.words.decode([self.words.end], plain=False))

    def _answered(self, prompt: str, kwargs: Mapping[str, Any], until: list[str],
                  number: int) -> Job:
        """Ask for an answer; a prompt that leaves no room for it is cut from the left."""
        most = int(kwargs["max_gen_toks"])
        body: dict[str, Any] = {"max_tokens": most, "temperature": 0, "stream": False}
        if until:
            body["stop"] = until[:MOST_STOPS if self.words else OPENAI_STOPS]
        if kwargs.get("do_sample"):
            body |= {name: kwargs[name] for name in _DRAWS if kwargs.get(name) is not None}
            body["seed"] = (self.seed + number) % 2**31
        else:
            number = 0
        if self.words is None:
            return _plainly(prompt, body, number)
        room = self.context - most
        if room <= 0:
            raise Failure("benchmark_task", f"'{self.desk.task}' wants answers of up to {most:,} "
                          f"tokens, and the model's context has {self.context:,}.",
                          "Ask a model with a longer context.")
        body["prompt"] = self.words.encode_prompt(prompt)[-room:]
        return Job("/completions", body, lambda reply: str(reply["choices"][0]["text"]), number)


def _plainly(prompt: str, body: dict[str, Any], number: int) -> Job:
    """Ask an engine that reads texts and conversations itself."""
    turns = _turns(prompt)
    if turns is None:
        return Job("/completions", {**body, "prompt": prompt},
                   lambda reply: str(reply["choices"][0]["text"]), number)
    return Job("/chat/completions", {**body, "messages": turns},
               lambda reply: str(reply["choices"][0]["message"]["content"] or ""), number)


def _turns(prompt: str) -> list[dict[str, Any]] | None:
    """Return the conversation that a prompt is, by our own ``apply_chat_template``."""
    if not prompt.startswith('[{"role": '):
        return None
    try:
        found = json.loads(prompt)
    except ValueError:
        return None
    return found if isinstance(found, list) else None
