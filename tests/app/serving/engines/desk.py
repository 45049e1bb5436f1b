"""A studio's desk for engines: runs as folders, devices by hand, and a stub in place of torch."""

from __future__ import annotations

import asyncio
import hashlib
import json
import struct
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import httpx

from app.devices import Device
from app.home import Home
from app.runs import Run, RunError, RunState
from app.serving.engines.local import LocalBackend
from trainer.contract.commits import commit
from trainer.contract.config import parse
from trainer.contract.rundir import RunDir
from trainer.engines.kinds import Transformers
from trainer.engines.settings import EngineSettings

STUB = str(Path(__file__).with_name("stub_engine.py"))
HOST = Device("cpu", "CPU")
GPU1, GPU2 = Device("GPU-1", "H", 1000, 900), Device("GPU-2", "H", 1000, 950)


class Stub(Transformers):
    argv = (sys.executable, "-P", STUB)


def tensors(path, value=0):
    """Write a safetensors file with one number."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<f", value))


def model_folder(folder, value=0):
    """Write a whole model's folder; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors(folder / "model.safetensors", value)
    (folder / "config.json").write_text('{"max_position_embeddings": 2048}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder


def adapter_folder(folder, value=0, **config):
    """Write a finished adapter; returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors(folder / "adapter_model.safetensors", value)
    (folder / "adapter_config.json").write_text(json.dumps(
        {"peft_type": "LORA", "r": 8, "lora_alpha": 16, **config}))
    return folder


def manifest(run, base, adapters=(), template="{{ messages }}"):
    """Write what a run was made of."""
    names = ("model.safetensors", "config.json", "tokenizer.json")
    files = {name: base / name for name in names}
    files |= {f"adapter {n}": path / "adapter_model.safetensors"
              for n, path in enumerate(adapters, 1)}
    run.manifest.write_text(json.dumps({
        "base": {"sha256": {name: hashlib.sha256(path.read_bytes()).hexdigest()
                            for name, path in files.items()}},
        "chat_template": {"text": template, "sha256": hashlib.sha256(
            template.encode()).hexdigest()}}))


@dataclass
class Desk:
    """What engines ask of a studio."""

    home: Home
    known: dict[str, Run] = field(default_factory=dict)
    machine: list[Device] = field(default_factory=lambda: [HOST])
    queue: dict[str, str] = field(default_factory=dict)

    def run(self, run_id):
        if run_id not in self.known:
            raise RunError("unknown_run", f"There is no run '{run_id}'.")
        return self.known[run_id]

    def runs(self, *, state=None):
        return [run for run in self.known.values() if state in (None, run.state)]

    def devices(self):
        return self.machine

    @property
    def store(self):
        return self

    def records(self, states):
        assert states == [RunState.QUEUED]
        return [SimpleNamespace(run=SimpleNamespace(id=run_id), wanted_device=wanted)
                for run_id, wanted in self.queue.items()]

    def base(self, name="base", value=0):
        """Make a model's folder outside the home."""
        return model_folder(self.home.root.parent / name, value)

    def add(self, run_id, base, *, state=RunState.COMPLETED, config=None, finished=True):
        """Make a run of LoRA on a base, or as its config says; returns its folder."""
        values = {"name": run_id, "model": {"name_or_path": str(base)}, **(config or {})}
        folder = RunDir(self.home.runs / run_id)
        parsed = parse(values)
        folder.create(parsed, {"state": str(state)})
        self.known[run_id] = Run(run_id, run_id, state, folder.path, objective=parsed.objective,
                                 model=str(base), created_at=1.0)
        if not finished:
            return folder
        if not parsed.tuner.is_adapter:
            model_folder(folder.model, 1)
        else:
            adapter_folder(folder.adapter, bias=parsed.tuner.bias)
            manifest(folder, base)
        return folder

    def checkpoint(self, run, step):
        """Give a run a committed checkpoint."""
        folder = adapter_folder(run.checkpoints / f"checkpoint-{step}", step)
        commit(folder, step)
        return folder

    def training(self, run_id, device):
        """Let a run have a device."""
        self.known[run_id] = Run(run_id, run_id, RunState.RUNNING, self.home.runs / run_id,
                                 device=device)
        self.machine = [replace(d, holder=run_id if d.key == device else d.holder)
                        for d in self.machine]


def backend(desk, *, kinds=None, clock=time.monotonic, **settings):
    """Return a backend whose Transformers engine is the stub."""
    chosen = EngineSettings(**{"start_s": 20.0, "wait_s": 5.0, **settings})
    return LocalBackend(desk, chosen, kinds=kinds or {"transformers": Stub(chosen)}, clock=clock)


async def say(route, text, timeout_s=10.0):
    """Ask an engine."""
    async with httpx.AsyncClient(trust_env=False, timeout=timeout_s) as client:
        answer = await client.post(
            f"{route.base_url}/chat/completions", headers={"Authorization": f"Bearer {route.key}"},
            json={"model": route.model, "messages": [{"role": "user", "content": text}]})
        return answer.json()


def ask(served, name, text="hello", **options):
    """Load a name, ask it, and let it go."""
    async def talk():
        async with served.using(name, **options) as route:
            return await say(route, text)

    return asyncio.run(talk())


@asynccontextmanager
async def held(served, name, **options):
    """Hold a name's engine as an answer that is being written does."""
    async with served.using(name, **options) as route:
        yield route
