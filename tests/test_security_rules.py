"""Rules of docs/security.md that can be read off the tree: no shell, no pickle, few open doors."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.source_tree import ROOT, Module, called, dotted, modules

FORBIDDEN = {"os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
             "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "joblib.load",
             "torch.load", "subprocess.getoutput", "subprocess.getstatusoutput",
             "tempfile.mktemp"}
BUILTINS = {"eval", "exec", "compile", "__import__"}

# Whoever opens a new door says here which one it is and why nothing narrower would do.
DOORS = {
    "trainer/__main__.py": "the trainer's main: any end becomes an end event",
    "trainer/serving/__main__.py": "the engine's main: why it cannot serve is its last line",
    "trainer/serving/engine.py": "the engine's thread: one bad question must not end the others",
    "trainer/tracking.py": "a tracker's errors: what it raises must not cost the result",
    "app/scheduler.py": "the scheduler's tick: one bad run must not stop the queue",
    "app/board/doors.py": "a page's handler: the page stays, the error is shown",
    "app/board/pages/run.py": "a page's handler: a button's error is shown in the corner",
    "app/board/pages/train.py": "a page's handler: upload and Start say what went wrong",
    "app/board/pages/data.py": "a page's handler: deleting says in the corner what went wrong",
    "app/board/pages/_data_add.py": "a page's handler: adding says what went wrong",
    "app/board/pages/_data_tools.py": "a page's handler: fixes and mapping say what went wrong",
}

# Where torch.load may stand, and only with weights_only=True.
OWN_TENSORS = {"assets/make/pretrain.py": "goes on from the state that it wrote itself"}

FLOORS = {"gradio": "6.25", "starlette": "1.0.1", "torch": "2.6", "transformers": "5.2.1"}

CODE = ("app", "trainer", "bench", "assets", "tests")
BINARY = {".png", ".safetensors", ".woff2", ".ico", ".gz", ".zst", ".parquet", ".xlsx"}


def calls(module: Module):
    return [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]


def weights_only(node: ast.Call) -> bool:
    return any(k.arg == "weights_only" and isinstance(k.value, ast.Constant)
               and k.value.value is True for k in node.keywords)


def unsafe(module: Module) -> list[str]:
    """Return what R1 and R2 forbid in a module, as 'path:line what'."""
    found = []
    for node in calls(module):
        name = dotted(node.func)
        if name == "torch.load" and module.path in OWN_TENSORS and weights_only(node):
            continue
        if name in FORBIDDEN or name in BUILTINS:
            found.append(f"{module.path}:{node.lineno} {name}")
        if any(k.arg == "shell" and not (isinstance(k.value, ast.Constant) and not k.value.value)
               for k in node.keywords):
            found.append(f"{module.path}:{node.lineno} shell=")
        if called(node) in {"load", "loads"} and any(
                k.arg == "allow_pickle" or (k.arg == "weights_only" and isinstance(
                    k.value, ast.Constant) and k.value.value is False) for k in node.keywords):
            found.append(f"{module.path}:{node.lineno} pickled data")
    return found


def renamed(module: Module) -> list[str]:
    """Return imports that would hide a forbidden name from the search by name."""
    banned = {tuple(name.rsplit(".", 1)) for name in FORBIDDEN}
    return [f"{module.path}:{node.lineno} from {node.module} import {alias.name}"
            for node in ast.walk(module.tree) if isinstance(node, ast.ImportFrom)
            for alias in node.names if (node.module, alias.name) in banned]


def broad(module: Module) -> list[int]:
    """Return the lines of handlers that catch everything and do not raise it again."""
    def everything(kind: ast.expr | None) -> bool:
        if isinstance(kind, ast.Tuple):
            return any(everything(one) for one in kind.elts)
        return kind is None or dotted(kind) in {"Exception", "BaseException"}

    return [node.lineno for node in ast.walk(module.tree)
            if isinstance(node, ast.ExceptHandler) and everything(node.type)
            and not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)]


def test_no_shell_no_evaluation_no_pickle():
    assert not [line for module in modules(*CODE) for line in unsafe(module) + renamed(module)]


@pytest.mark.parametrize("text", [
    "os.system('x')", "subprocess.run('x', shell=True)", "subprocess.run('x', shell=flag)",
    "eval(x)", "yaml.load(x)", "pickle.load(x)", "torch.load(x, weights_only=True)",
    "numpy.load(x, allow_pickle=True)",
])
def test_the_gate_sees_each_of_them(text):
    assert unsafe(Module("x.py", "x", ast.parse(text), 1))


def test_the_gate_lets_ordinary_code_pass():
    text = "model.eval()\njson.load(x)\nsubprocess.run(['x'], shell=False)\nre.compile('x')\n"
    assert not unsafe(Module("x.py", "x", ast.parse(text), 4))


def test_everything_is_caught_at_named_doors_only():
    found = {f"{m.path}:{line}" for m in modules("app", "trainer") for line in broad(m)
             if m.path not in DOORS}
    assert not found


def test_each_door_is_there():
    assert {m.path for m in modules("app", "trainer") if broad(m)} == set(DOORS)


def tracked() -> list[Path]:
    """Return the files that a clone would have; without git there is nothing to look at."""
    done = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                          cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("this is not a git checkout")
    files = [ROOT / name for name in done.stdout.split("\0") if name]
    return [file for file in files if file.is_file() and file.suffix not in BINARY]


def test_no_path_of_a_machine_stands_in_the_tree():
    here = re.compile(r"(?<![\w.:/~-])/(?:" + "|".join(["root", "work", "home", "Users"]) + ")/")
    found = []
    for file in tracked():
        relative = file.relative_to(ROOT)
        if relative.parts[0] == "tests":
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        found += [f"{relative}: {match.group()}" for match in here.finditer(text)]
    assert not found


def test_no_package_index_stands_in_the_tree():
    hosts = re.compile("|".join(re.escape(".".join(parts)) for parts in (
        ("pypi", "org"), ("files", "pythonhosted"), ("deb", "debian"), ("download", "pytorch"),
        ("registry", "npmjs"))))
    assert not [str(file.relative_to(ROOT)) for file in tracked()
                if hosts.search(file.read_text(encoding="utf-8", errors="replace"))]


def pins() -> dict[str, tuple[int, ...]]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower(): version(text) for name, text in pairs}


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def test_every_line_of_the_constraints_is_one_exact_version():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for line in lines:
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line


@pytest.mark.parametrize("name", FLOORS)
def test_pins_are_not_below_the_floor_that_a_published_hole_set(name):
    assert pins()[name] >= version(FLOORS[name])
