"""``python -P -m trainer.serving``: serves a model on 127.0.0.1 until its standard input ends.

Exit status: 0 when the input ended, 1 when the model cannot be served (the last line of standard
error says why), 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
import time
import traceback
from pathlib import Path

from trainer.contract.models import ModelError
from trainer.serving.choice import ModelChoice
from trainer.serving.failures import explain

GRACE_S = 10.0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -P -m trainer.serving", allow_abbrev=False,
                                     description="Serve a model until standard input ends.")
    parser.add_argument("--model", required=True, help="a folder, a hub id, 'starter', a run's id")
    parser.add_argument("--port-file", type=Path, required=True,
                        help="where the port is written as soon as the server listens")
    parser.add_argument("--key-file", type=Path, required=True,
                        help="holds the key that requests must bring")
    parser.add_argument("--device", default="cpu", help="'cpu', or the UUID of a GPU")
    parser.add_argument("--dtype", default="auto",
                        choices=("auto", "bfloat16", "float16", "float32"))
    parser.add_argument("--quantization", default="none", choices=("none", "nf4", "fp4", "int8"))
    parser.add_argument("--double-quantization", default=True,
                        action=argparse.BooleanOptionalAction,
                        help="whether the scales of 4-bit weights are quantized too")
    parser.add_argument("--max-model-len", type=_count, default=0,
                        help="0: as many tokens as the model was made for")
    parser.add_argument("--template", default="auto",
                        help="'auto', a name, a .jinja file, or a folder that has one")
    parser.add_argument("--lora", action="append", default=[], metavar="NAME=DIR")
    parser.add_argument("--served-model-name", default="")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


def main(arguments: list[str]) -> int:
    """Serve; returns the exit status."""
    from trainer.__main__ import QUIET

    given = _parse(arguments)
    os.environ.update(QUIET)
    os.environ["CUDA_VISIBLE_DEVICES"] = "" if given.device == "cpu" else given.device
    ended = threading.Event()
    threading.Thread(target=_watch, args=(ended,), daemon=True).start()
    try:
        _serve(given, ended)
    except Exception as error:
        refused = explain(error)
        if refused.status >= 500:
            traceback.print_exception(error, file=sys.stderr)
        print(f"{refused.code}: {refused.message}", file=sys.stderr, flush=True)
        return 1
    return 0


def _watch(ended: threading.Event) -> None:
    """Notice the end of standard input: whoever started this is gone, so nothing may linger."""
    while os.read(0, 4096):
        pass
    ended.set()
    time.sleep(GRACE_S)
    os._exit(0)


def _serve(given: argparse.Namespace, ended: threading.Event) -> None:
    """Load everything, then listen; ModelError when something cannot be served."""
    key = given.key_file.read_text(encoding="utf-8").strip()
    adapters = [(name, Path(folder)) for name, _, folder in
                (text.partition("=") for text in given.lora)]
    if not key or not all(name and folder != Path() for name, folder in adapters):
        raise ModelError("command_line", "The key is empty, or an adapter is not NAME=DIR.")
    runs = Path(os.environ.get("FINESTRA_RUNS") or "runs")
    choice = ModelChoice(given.model, given.device, given.dtype, given.quantization,
                         given.max_model_len, given.double_quantization)
    choice.spare(runs)
    from trainer.serving.room import Room

    name = given.served_model_name or given.model
    with Room.open(choice, runs, template=given.template, name=name) as room:
        for adapter, folder in adapters:
            room.names.add(adapter, folder)
        asyncio.run(room.listen(key, given.port_file, ended))


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stderr.flush()
    # All is closed by now; taking the libraries down in order would take seconds.
    os._exit(status)
