"""``python -P -m trainer.chat``: talks to a finished run, the base beside the tuned model.

One JSON object a line on standard input and output. Requests: ``{"id", "op": "load", "run_dir"}``,
``{"id", "op": "ask", "messages", "max_new_tokens", "temperature", "seed", "sides"}`` and
``{"id", "op": "cancel"}``, which ends the answer to the request of that id, also one that waits.
Answers: ``{"id", "event": "loaded" | "delta" | "done" | "error", ...}``. The process ends when
standard input does.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from trainer.contract.rundir import RunDir
from trainer.failures import Failure, classify

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from trainer.contract.config import RunConfig
    from trainer.model import Base
    from trainer.prompts import Prompter, Template

Side = Literal["base", "tuned"]
SIDES: tuple[Side, ...] = ("base", "tuned")
Request = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """A finished run's base and tuned model; of an adapter they share the base's weights.

    ``prompter`` renders the chat template that the run was trained with.
    """

    models: dict[Side, Any]
    shared: bool
    text: PreTrainedTokenizerBase
    prompter: Prompter
    template: Template
    name: str

    def prompt(self, messages: list[Any], tools: list[Any] | None) -> list[int]:
        """Return the conversation as tokens, up to where the assistant begins."""
        return self.prompter.encode([{"messages": messages, "tools": tools}])[0]

    def room(self, prompt: list[int], wanted: int) -> int:
        """Return how many tokens may follow; Failure when the prompt alone is too long."""
        limit = self.models["tuned"].config.get_text_config().max_position_embeddings
        if len(prompt) >= limit:
            raise Failure("prompt_too_long", f"The conversation has {len(prompt):,} tokens, the "
                          f"model takes {limit:,}.", "Start a new conversation.")
        return min(wanted, limit - len(prompt))

    def side(self, side: Side) -> tuple[Any, Any]:
        """Return (model, context to use it in)."""
        model = self.models[side]
        off = self.shared and side == "base"
        return model, model.disable_adapter() if off else nullcontext()


def load_pair(run: RunDir) -> Pair:
    """Load what a finished run was trained from and what came out of it.

    Raises:
        ValueError: The run has no finished model, its base changed or cannot be loaded, or the
            chat template cannot be used.
    """
    from trainer import manifest
    from trainer import model as models
    from trainer.adapters import check_adapter
    from trainer.prompts import Prompter

    config = run.read_config()
    runs = Path(os.environ.get("FINESTRA_RUNS") or run.path.parent)
    shared = is_shared(config)
    if config.tuner.is_adapter:
        check_adapter(run.adapter)
    base = models.locate(config.model, runs, lambda text: print(text, file=sys.stderr))
    prompter = Prompter(base.folder, config.data.template)
    try:
        template = prompter.describe()
        manifest.require_same_base(run, base, template.source)
        return Pair(_load_models(run, base, config), shared, models.load_tokenizer(base.folder),
                    prompter, template, config.name)
    except BaseException:
        prompter.close()
        raise


def is_shared(config: RunConfig) -> bool:
    """Tell whether base and tuned model share weights: trained biases cannot be switched off."""
    tuner = config.tuner
    return tuner.is_adapter and (tuner.type != "lora" or tuner.bias == "none")


def _load_models(run: RunDir, base: Base, config: RunConfig) -> dict[Side, Any]:
    """Load base and tuned weights onto the device, ready to answer."""
    from trainer import model as models
    from trainer.adapters import attach_adapter
    from trainer.precision import choose, find_gpu

    precision = choose(config, "auto", find_gpu())
    weights = models.load_model(base, config, precision)
    if is_shared(config):
        tuned = weights = attach_adapter(weights, run.adapter)
    elif config.tuner.is_adapter:
        tuned = attach_adapter(models.load_model(base, config, precision), run.adapter)
    else:
        own = models.locate(config.model.model_copy(update={
            "name_or_path": str(run.model)}), run.path.parent, lambda text: None)
        tuned = models.load_model(own, config, precision)
    for model in (weights, tuned):
        model.to(precision.device.value).eval()
    return {"base": weights, "tuned": tuned}


@dataclass
class Chat:
    """Answers requests one after the other; a reader thread only notices cancelling."""

    out: IO[str]
    cancelled: set[Any] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)
    requests: queue.Queue[Request | None] = field(default_factory=queue.Queue)
    pair: Pair | None = None

    def read(self, lines: IO[str]) -> None:
        """Queue requests until the input ends; runs in its own thread."""
        for line in lines:
            try:
                request = json.loads(line)
            except ValueError:
                self.say({}, "error", code="not_json", message="A line was not JSON.")
                continue
            if isinstance(request, dict) and request.get("op") in ("cancel", "stop"):
                self.cancelled.add(request.get("id"))
            elif isinstance(request, dict):
                self.requests.put(request)
        self.ended.set()
        self.requests.put(None)

    def is_cancelled(self, request: Request) -> bool:
        """Tell whether nobody waits for this answer any more."""
        return self.ended.is_set() or request.get("id") in self.cancelled

    def say(self, request: Request, event: str, **values: Any) -> None:
        """Write one answer line."""
        line = json.dumps({"id": request.get("id"), "event": event, **values},
                          ensure_ascii=False)
        self.out.write(line + "\n")
        self.out.flush()

    def serve(self) -> None:
        """Answer until the input ends."""
        while (request := self.requests.get()) is not None:
            try:
                self.answer(request)
            except Exception as error:
                verdict = classify(error)
                if not verdict.known:
                    traceback.print_exception(error, file=sys.stderr)
                self.say(request, "error", code=verdict.code, message=verdict.message,
                         advice=verdict.advice)

    def answer(self, request: Request) -> None:
        """Do what one request asks.

        Raises:
            ValueError: What is wrong, in words.
        """
        operation = request.get("op")
        if operation == "load":
            if self.pair is not None:
                self.pair.prompter.close()
            self.pair = load_pair(RunDir(Path(str(request["run_dir"])).resolve()))
            self.say(request, "loaded", name=self.pair.name)
        elif operation == "ask":
            self.ask(request)
        else:
            raise Failure("unknown_op", f"There is no operation {operation!r}.",
                          "Send load, ask or cancel.")

    def ask(self, request: Request) -> None:
        """Stream the answer of each side."""
        if self.pair is None:
            raise Failure("not_loaded", "No run is loaded.", "Send 'load' first.")
        prompt = self.pair.prompt(request["messages"], request.get("tools"))
        for side in request.get("sides") or SIDES:
            if side not in SIDES:
                raise Failure("unknown_side", f"There is no side {side!r}.", "base or tuned.")
            self._stream(request, self.pair, side, prompt)

    def _stream(self, request: Request, pair: Pair, side: Side, prompt: list[int]) -> None:
        from trainer.generate import generate_ids, stream_text

        began, first = time.monotonic(), [0.0]

        def watched(tokens: Iterator[int]) -> Iterator[int]:
            for token in tokens:
                first[0] = first[0] or time.monotonic() - began
                if self.is_cancelled(request):
                    return
                yield token

        model, adapter = pair.side(side)
        with adapter:
            tokens = generate_ids(
                model, prompt, eos_ids=pair.template.eos_ids,
                max_new_tokens=pair.room(prompt, int(request.get("max_new_tokens", 256))),
                temperature=float(request.get("temperature", 0)),
                seed=int(request.get("seed", 0)))
            count = stream_text(watched(tokens), pair.text,
                                lambda text: self.say(request, "delta", side=side, text=text),
                                stops=pair.template.stop_strings)
        seconds = time.monotonic() - began
        self.say(request, "done", side=side, tokens=count, first_token_s=first[0],
                 tokens_per_s=count / seconds if seconds > 0 else 0.0,
                 cancelled=self.is_cancelled(request))


def main() -> int:
    """Serve standard input until it ends; libraries that print get standard error."""
    from trainer.__main__ import QUIET

    os.environ.update(QUIET)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    chat = Chat(out)
    threading.Thread(target=chat.read, args=(sys.stdin,), daemon=True).start()
    chat.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
