"""Asks an exported model by the program that uses it; run by path where that is installed.

Standard input: ``{"program", "path", "base", "prompts": [{"messages", "tools"} or {"text"}],
"reference": [{"ids", "start"}], "max_new_tokens", "context", "gpu", "top", "out"}``. The file
``out`` then holds ``{"version", "computes", "ends", "said": [{"prompt", "answer", "logprobs",
"top", "error"}]}``: the prompts as this program makes them, its greedy answers, and the
log-probabilities of the tokens ``ids[start:]`` of each reference, beside the likeliest at each of
these places. Each prompt that is done is a line on standard output. Only the program's own packages
are needed.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# A chat template is somebody's code: it gets so long, and so much memory besides what is in use.
RENDER_S = 60
RENDER_BYTES = 4 << 30
Top = list[list[float]]


@contextmanager
def rendering() -> Iterator[None]:
    """Limit time and memory; beyond the time this process is ended by SIGALRM."""
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + RENDER_BYTES, limits[1]))
    signal.alarm(RENDER_S)
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, limits)


class Transformers:
    """Plain Transformers; over a base, plain PEFT."""

    def __init__(self, wish: dict[str, Any]) -> None:
        """Load the model as it is stored."""
        import torch
        import transformers
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.torch, path, base = torch, wish["path"], wish["base"]
        self.version = transformers.__version__
        self.text = AutoTokenizer.from_pretrained(path, trust_remote_code=False,
                                                  local_files_only=True)
        self.model: Any = AutoModelForCausalLM.from_pretrained(
            base or path, trust_remote_code=False, local_files_only=True, use_safetensors=True,
            dtype="auto", device_map="cuda" if wish["gpu"] else None)
        if base:
            self._lay(path)
        self.model.eval()
        self.computes = str(self.model.dtype).removeprefix("torch.")
        ends = self.model.generation_config.eos_token_id
        self.ends = ends if isinstance(ends, list) else [] if ends is None else [ends]

    def _lay(self, path: str) -> None:
        import peft

        self.version = peft.__version__
        settings = self.model.generation_config
        self.model = peft.PeftModel.from_pretrained(self.model, path, local_files_only=True,
                                                    use_safetensors=True)
        # What ends an answer lies beside the adapter where its template is not the base's.
        if os.path.isfile(os.path.join(path, "generation_config.json")):
            settings = type(settings).from_pretrained(path, local_files_only=True)
        self.model.generation_config = self.model.base_model.model.generation_config = settings

    def prompt(self, asked: dict[str, Any]) -> list[int]:
        """Return a prompt's tokens."""
        if "text" in asked:
            return list(self.text(asked["text"])["input_ids"])
        return list(self.text.apply_chat_template(
            asked["messages"], tools=asked["tools"], add_generation_prompt=True, tokenize=True,
            return_dict=False))

    def answer(self, ids: list[int], limit: int) -> list[int]:
        """Return the greedy answer, with the token that ends it."""
        given = self.torch.tensor([ids], device=self.model.device)
        with self.torch.inference_mode():
            out = self.model.generate(
                input_ids=given, attention_mask=self.torch.ones_like(given),
                max_new_tokens=limit, do_sample=False, num_beams=1, repetition_penalty=1.0,
                temperature=None, top_p=None, top_k=None,
                pad_token_id=self.text.pad_token_id or 0)
        return list(out[0, len(ids):].tolist())

    def score(self, ids: list[int], start: int, top: int) -> tuple[list[float], list[Top]]:
        """Return log-probabilities of ``ids[start:]``, and the likeliest at each place."""
        given = self.torch.tensor([ids], device=self.model.device)
        with self.torch.inference_mode():
            logits = self.model(input_ids=given, attention_mask=self.torch.ones_like(given),
                                use_cache=False).logits[0, -len(ids):][start - 1:-1]
        found = logits.float().log_softmax(-1)
        chosen = found.gather(1, given[0, start:, None])[:, 0].tolist()
        values, places = found.topk(min(top, found.shape[-1]))
        return chosen, [list(map(list, zip(row, some)))  # noqa: B905  may be Python 3.9
                        for row, some in zip(places.tolist(), values.tolist())]  # noqa: B905


class Llama:
    """llama.cpp through llama-cpp-python."""

    def __init__(self, wish: dict[str, Any]) -> None:
        """Load a GGUF file."""
        import llama_cpp

        self.library, self.version = llama_cpp, llama_cpp.__version__
        self.model = llama_cpp.Llama(wish["path"], n_ctx=wish["context"], verbose=False,
                                     n_gpu_layers=-1 if wish["gpu"] else 0)
        self.computes = ""
        vocabulary = llama_cpp.llama_model_get_vocab(self.model.model)
        self.ends = [token for token in range(self.model.n_vocab())
                     if llama_cpp.llama_vocab_is_eog(vocabulary, token)]

    def prompt(self, asked: dict[str, Any]) -> list[int]:
        """Return the tokens that the library itself reads of a chat."""
        if "text" in asked:
            return list(self.model.tokenize(asked["text"].encode(), add_bos=True, special=True))
        self.model.reset()
        self.model.create_chat_completion(asked["messages"], tools=asked["tools"], max_tokens=1,
                                          temperature=0.0)
        return list(map(int, self.model.input_ids[:self.model.n_tokens]))

    def answer(self, ids: list[int], limit: int) -> list[int]:
        """Return the greedy answer, with the token that ends it."""
        self.model.reset()
        found: list[int] = []
        given = ids
        while len(found) < limit:
            self.model.eval(given)
            given = [int(self._logits().argmax())]
            found += given
            if given[0] in self.ends:
                break
        return found

    def score(self, ids: list[int], start: int, top: int) -> tuple[list[float], list[Top]]:
        """Return log-probabilities of ``ids[start:]``, and the likeliest at each place."""
        import numpy

        self.model.reset()
        chosen, best = [], []
        given = ids[:start]
        for token in ids[start:]:
            self.model.eval(given)
            logits = self._logits().astype(numpy.float64)
            found = logits - logits.max()
            found -= math.log(numpy.exp(found).sum())
            chosen.append(float(found[token]))
            best.append([[int(one), float(found[one])]
                         for one in numpy.argsort(found)[::-1][:top]])
            given = [token]
        return chosen, best

    def _logits(self) -> Any:
        import numpy

        last = self.library.llama_get_logits_ith(self.model.ctx, -1)
        return numpy.ctypeslib.as_array(last, shape=(self.model.n_vocab(),)).copy()


class Vllm:
    """vLLM in this process, without a server."""

    def __init__(self, wish: dict[str, Any]) -> None:
        """Load a model folder."""
        os.environ.update({"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_NO_USAGE_STATS": "1",
                           "VLLM_HOST_IP": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo",
                           "VLLM_LOGGING_LEVEL": "ERROR"})
        if not wish["gpu"]:
            os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
        import vllm

        self.library, self.version = vllm, vllm.__version__
        self.model = vllm.LLM(
            wish["path"], dtype="auto" if wish["gpu"] else "float32", enforce_eager=True,
            max_model_len=wish["context"], max_logprobs=wish["top"], seed=0,
            trust_remote_code=False, max_num_seqs=4, enable_prefix_caching=False)
        config = self.model.llm_engine.model_config
        self.computes = str(config.dtype).removeprefix("torch.")
        named = config.try_get_generation_config().get("eos_token_id") or []
        own = self.model.get_tokenizer().eos_token_id
        self.ends = sorted({*(named if isinstance(named, list) else [named]),
                            *([] if own is None else [own])})

    def _ask(self, given: Any, **settings: Any) -> Any:
        chosen = self.library.SamplingParams(temperature=0.0, **settings)
        if isinstance(given, dict):
            return self.model.generate(given, chosen, use_tqdm=False)[0]
        return self.model.chat(given[0], chosen, tools=given[1], use_tqdm=False)[0]

    def prompt(self, asked: dict[str, Any]) -> list[int]:
        """Return the tokens that the library itself reads."""
        given = ({"prompt": asked["text"]} if "text" in asked
                 else (asked["messages"], asked["tools"]))
        return list(self._ask(given, max_tokens=1).prompt_token_ids)

    def answer(self, ids: list[int], limit: int) -> list[int]:
        """Return the greedy answer, with the token that ends it."""
        out = self._ask({"prompt_token_ids": ids}, max_tokens=limit, stop_token_ids=self.ends)
        return list(out.outputs[0].token_ids)

    def score(self, ids: list[int], start: int, top: int) -> tuple[list[float], list[Top]]:
        """Return log-probabilities of ``ids[start:]``, and the likeliest at each place."""
        out = self._ask({"prompt_token_ids": ids}, max_tokens=1, prompt_logprobs=top)
        places = [{token: one.logprob for token, one in place.items()}
                  for place in out.prompt_logprobs[start:]]
        chosen = [place[token] for place, token in zip(places, ids[start:])]  # noqa: B905
        return chosen, [[[token, value] for token, value in place.items()] for place in places]


PROGRAMS = {"transformers": Transformers, "llama": Llama, "vllm": Vllm}


def main() -> int:
    """Do what is asked; a traceback's last line is the reason where it cannot be done."""
    wish = json.load(sys.stdin)
    program = PROGRAMS[wish["program"]](wish)
    said = []
    for asked, reference in zip(wish["prompts"], wish["reference"]):  # noqa: B905
        said.append(say(program, asked, reference, wish))
        print(f"prompt {len(said)}", flush=True)
    with open(wish["out"], "w", encoding="utf-8") as file:
        json.dump({"version": program.version, "computes": program.computes,
                   "ends": list(program.ends), "said": said}, file)
    return 0


def say(program: Any, asked: dict[str, Any], reference: dict[str, Any],
        wish: dict[str, Any]) -> dict[str, Any]:
    """Ask one prompt; a template that refuses it says why."""
    import jinja2

    found: dict[str, Any] = {"prompt": [], "answer": [], "error": ""}
    try:
        with rendering():
            found["prompt"] = program.prompt(asked)
        found["answer"] = program.answer(found["prompt"], wish["max_new_tokens"])
    except (jinja2.TemplateError, ValueError, TypeError, MemoryError) as error:
        found["error"] = f"{type(error).__name__}: {error}"[:300]
    ids, start = reference["ids"], reference["start"]
    found["logprobs"], found["top"] = program.score(ids, start, wish["top"])
    return found


if __name__ == "__main__":
    sys.exit(main())
