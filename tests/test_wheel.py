"""The wheel, installed elsewhere: it carries starter, data and recipes, and its command works."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.source_tree import ROOT

pytestmark = pytest.mark.training


def run(*command: str, cwd: Path, home: Path | None = None) -> str:
    environment = {"PATH": "/usr/bin:/bin", "FINESTRA_HOME": str(home or cwd), "HOME": str(cwd),
                   "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False,
                          env=environment)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index",
        "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT), cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A virtual environment that has the wheel and sees the libraries, but not this checkout."""
    venv = tmp_path_factory.mktemp("elsewhere") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", str(venv), cwd=venv.parent)
    python = str(venv / "bin" / "python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps",
        "--no-index", str(wheel), cwd=venv.parent)
    # A folder named in a .pth file is searched, but its own .pth files - the editable
    # installation of this checkout is one - are not read.
    own = next(venv.glob("lib/python*/site-packages"))
    (own / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return venv


def test_the_wheel_holds_what_the_studio_needs_and_no_more(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in ("trainer/_share/assets/starter/model.safetensors",
                   "trainer/_share/assets/starter/tokenizer.json",
                   "trainer/_share/data/dataset_info.json",
                   "trainer/_share/data/sample_instructions_heldout.jsonl",
                   "trainer/_share/templates/recipes/quickstart.yaml",
                   "trainer/_share/templates/chat/chatml.jinja",
                   "app/cli.py", "trainer/__main__.py"):
        assert wanted in names
    assert {name.split("/")[0] for name in names} <= {
        "app", "trainer", "finestra-0.1.0.dist-info"}


def test_shared_files_are_found_inside_the_installation(installed, tmp_path):
    code = "from trainer.contract.places import share, starter; print(share()); print(starter())"
    share, starter = run(str(installed / "bin" / "python"), "-P", "-c", code,
                         cwd=tmp_path).splitlines()
    assert Path(share).is_relative_to(installed) and Path(starter, "config.json").is_file()


def test_the_installed_command_runs_the_quickstart(installed, tmp_path):
    """Three steps of it, so that every stage of the road is taken."""
    recipes = next(installed.glob("lib/python*/site-packages/trainer/_share/templates/recipes"))
    finestra = str(installed / "bin" / "finestra")
    recipe = str(recipes / "quickstart.yaml")
    dry = json.loads(run(finestra, "train", recipe, "--dry-run", "--json", cwd=tmp_path))
    assert dry["problems"] == []
    done = json.loads(run(finestra, "train", recipe, "training.max_steps=3",
                          "evaluation.limit=4", "--json", cwd=tmp_path, home=tmp_path / "home"))
    assert done["state"] == "completed"
    assert Path(done["dir"]).is_relative_to(tmp_path / "home")
    assert (Path(done["dir"]) / "adapter" / "adapter_model.safetensors").is_file()
