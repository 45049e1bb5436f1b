"""A folder with which a merged model is served by Docker: vLLM, SGLang or TGI.

``docker compose --profile vllm up`` starts one of them; each listens on this machine only and
wants the key that ``API_KEY`` in the environment gives. No secret stands in the folder. Options:
https://docs.vllm.ai/en/stable/cli/serve/, https://docs.sglang.io (server arguments) and
https://huggingface.co/docs/text-generation-inference (launcher arguments).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from trainer.contract.files import read_json, write_atomic
from trainer.contract.models import read_folder
from trainer.contract.rundir import is_safe_name
from trainer.export.chat_format import ChatFormat, read_chat_format
from trainer.export.errors import ExportError
from trainer.export.gguf_template import without_marks
from trainer.export.report import require_absent, whole_folder

# Which images were current when this was written. vLLM below 0.32.0 has published holes.
TAGS = {"VLLM_TAG": "v0.33.0", "SGLANG_TAG": "v0.5.19", "TGI_TAG": "3.3.6"}
TGI_IMAGE = "text-generation-inference"
_PORT = 8000
_TEMPLATES = "/templates"
_TEMPLATE = "chat_template.jinja"
_KEY = "${API_KEY:?set API_KEY in the environment to a long random text}"


def write_deployment(model: Path, target: Path, *, name: str, max_length: int | None = None,
                     stop: Sequence[str] = (), model_dir: str = "./model") -> Path:
    """Write the folder and return it.

    Args:
        model: A merged model folder.
        target: The folder to make; it must not be there yet.
        name: The model's name for clients.
        max_length: Tokens of prompt and answer; by default the model's.
        stop: Further texts that end an answer.
        model_dir: Where the model will lie, seen from the folder: ``MODEL_DIR`` in '.env'.

    Raises:
        ExportError: The name is no plain one ('name_unsafe'), or the folder is there already
            ('target_exists').
        ModelError: The model folder is not whole, or wants to run code of its own.
        TemplateError: Its chat template cannot be read.
        OSError: The folder cannot be written; nothing is left behind.
    """
    if not is_safe_name(name):
        raise ExportError("name_unsafe", f"'{name}' is no plain name.",
                          "Use letters, digits, '.', '_' and '-'.")
    require_absent(target)
    length = max_length or _length(read_folder(model).text_config)
    chat = read_chat_format(model)
    with whole_folder(target) as partial:
        _fill(partial, model, chat, name, length, [*chat.stops, *stop])
        _write_environment(partial, model_dir)
    return target


def _fill(folder: Path, model: Path, chat: ChatFormat, name: str, length: int,
          stops: Sequence[str]) -> None:
    has_template = bool(chat.source)
    templates = folder / "templates"
    templates.mkdir()
    # TGI takes a template from a tokenizer's config only; the others take the file.
    tokenizer = read_json(model / "tokenizer_config.json") or {}
    if has_template:
        source = without_marks(chat.source)
        write_atomic(templates / _TEMPLATE, source)
        tokenizer["chat_template"] = source
    write_atomic(templates / "tokenizer_config.json",
                 json.dumps(tokenizer, ensure_ascii=False, indent=2))
    compose = yaml.safe_dump({"services": _services(name, length, has_template)}, sort_keys=False)
    write_atomic(folder / "compose.yaml", compose)
    write_atomic(folder / "README.md", _readme(name, list(dict.fromkeys(stops))))


def _write_environment(folder: Path, model_dir: str) -> None:
    lines = [f"MODEL_DIR={model_dir}", f"PORT={_PORT}", f"TGI_IMAGE={TGI_IMAGE}",
             *(f"{key}={tag}" for key, tag in TAGS.items())]
    write_atomic(folder / ".env", "\n".join(lines) + "\n")


def _services(name: str, length: int, has_template: bool) -> dict[str, Any]:
    template = ["--chat-template", f"{_TEMPLATES}/{_TEMPLATE}"] if has_template else []
    common = ["--host", "0.0.0.0", "--port", str(_PORT)]
    vllm = ["/model", "--served-model-name", name, "--max-model-len", str(length),
            *common, *template]
    sglang = ["python3", "-m", "sglang.launch_server", "--model-path", "/model",
              "--served-model-name", name, "--context-length", str(length), "--api-key", _KEY,
              *common, *template]
    tgi = ["--model-id", "/model",
           "--max-total-tokens", str(length), "--max-input-tokens", str(length - 1),
           "--tokenizer-config-path", f"{_TEMPLATES}/tokenizer_config.json",
           "--hostname", "0.0.0.0", "--port", str(_PORT)]
    offline = {"HF_HUB_OFFLINE": "1"}
    # vLLM's image began another program in earlier versions; the others are started as they are.
    serve = {"entrypoint": ["vllm", "serve"]}
    return {
        "vllm": serve | _service("vllm", "vllm/vllm-openai:${VLLM_TAG}", vllm,
                         {**offline, "VLLM_API_KEY": _KEY, "VLLM_NO_USAGE_STATS": "1"}),
        "sglang": _service("sglang", "lmsysorg/sglang:${SGLANG_TAG}", sglang, offline),
        "tgi": _service("tgi", "${TGI_IMAGE}:${TGI_TAG}", tgi,
                        {**offline, "API_KEY": _KEY, "USAGE_STATS": "off"})}


def _service(profile: str, image: str, command: Sequence[str],
             environment: dict[str, str]) -> dict[str, Any]:
    gpu = {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    return {"profiles": [profile], "image": image, "command": list(command),
            "environment": environment,
            "volumes": ["${MODEL_DIR}:/model:ro", f"./templates:{_TEMPLATES}:ro"],
            "ports": [f"127.0.0.1:${{PORT}}:{_PORT}"], "shm_size": "8gb",
            "restart": "unless-stopped",
            "deploy": {"resources": {"reservations": {"devices": [gpu]}}}}


def _length(config: dict[str, Any]) -> int:
    length = config.get("max_position_embeddings")
    return length if isinstance(length, int) and length > 1 else 4096


def _readme(name: str, stops: Sequence[str]) -> str:
    request = json.dumps({"model": name, "temperature": 0, "stop": list(stops),
                          "messages": [{"role": "user", "content": "Hello!"}]},
                         ensure_ascii=False)
    listed = "\n".join(f"    {json.dumps(text, ensure_ascii=False)}" for text in stops)
    quoted = request.replace("'", "'\\''")
    return f"""# Serving {name}

1. The merged model's folder is named in `.env` (`MODEL_DIR`), seen from this file.
2. `export API_KEY=$(openssl rand -hex 32)`: the key that clients must bring. It is in no file here.
3. Start one of the three; each needs an NVIDIA GPU and Docker with its container toolkit:

       docker compose --profile vllm up -d
       docker compose --profile sglang up -d
       docker compose --profile tgi up -d

`.env` pins the versions of the images; for TGI write there, as `TGI_IMAGE`, where its
documentation has the image. The port is open on this machine only: put a proxy that
speaks https in front of it for others.

## Asking

    curl http://127.0.0.1:{_PORT}/v1/chat/completions -H "Authorization: Bearer $API_KEY" \\
      -H "Content-Type: application/json" -d '{quoted}'

## The chat template

`templates/{_TEMPLATE}` is the one the model was trained with; vLLM and SGLang are told to use it.
TGI reads the same one from `templates/tokenizer_config.json`.

## Where an answer ends

{listed or "    (nothing is known)"}

The servers know the tokens that `generation_config.json` names. The others are stop words: send
them with each request, as above.
"""
