"""The import rules of ARCHITECTURE.md, one test a line, and the shape of the code."""

import statistics
import subprocess
import sys

import pytest

from tests.source_tree import (
    ROOT,
    Module,
    body_lines,
    functions,
    imports,
    modules,
    within,
)
from trainer.contract.config import load_yaml, parse

ENGINE = ("torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes", "datasets")
# The workers render strangers' templates (rule R7); the sandbox runs code that is not ours.
SUBPROCESS = ("app/scheduler.py", "app/supervisor.py", "app/devices.py", "trainer/engines/",
              "trainer/data/children/workers.py", "trainer/sandbox/process.py",
              "trainer/export/children.py")
# In the order in which they may know of each other: each only of those before it.
ROOMS_OF_DATA = ("reading", "shapes", "checking", "catalog", "templates", "tokens", "children")
CODE = ("app", "trainer", "bench", "assets", "tests")
RECIPES = sorted((ROOT / "templates" / "recipes").glob("*.yaml"))


def offences(found: tuple[Module, ...], wrong) -> list[str]:
    return [f"{module.path}:{line} imports {name}"
            for module in found for name, line in imports(module) if wrong(module, name)]


def test_contract_needs_only_the_standard_library_pydantic_and_yaml():
    allowed = ("trainer.contract", "pydantic", "pydantic_core", "yaml", *sys.stdlib_module_names)
    assert not offences(modules("trainer/contract"), lambda m, name: not within(name, *allowed))


def test_data_never_imports_the_engine_the_board_or_the_app():
    banned = (*ENGINE, "gradio", "app")
    assert not offences(modules("trainer/data"), lambda m, name: within(name, *banned))


def test_data_knows_of_the_trainer_only_data_and_contract():
    assert not offences(modules("trainer/data"), lambda m, name: within(name, "trainer")
                        and not within(name, "trainer.data", "trainer.contract"))


def test_rooms_of_data_know_only_those_before_them():
    def upwards(module: Module, name: str) -> bool:
        here = ROOMS_OF_DATA.index(module.path.split("/")[2])
        return within(name, *(f"trainer.data.{room}" for room in ROOMS_OF_DATA[here + 1:]))

    inside = tuple(m for m in modules("trainer/data") if m.path.count("/") == 3)
    assert {m.path.split("/")[2] for m in inside} == set(ROOMS_OF_DATA)
    assert not offences(inside, upwards)


def test_trainer_never_imports_the_app():
    assert not offences(modules("trainer"),
                        lambda m, name: within(name, "app", "gradio", "sqlite3"))


def test_app_knows_of_the_trainer_only_contract_data_and_engines():
    assert not offences(modules("app"), lambda m, name: within(name, "trainer") and not within(
        name, "trainer.contract", "trainer.data", "trainer.engines"))


def test_engines_know_of_the_trainer_only_contract_and_data():
    banned = (*ENGINE, "gradio", "app")
    assert not offences(modules("trainer/engines"), lambda m, name: within(name, *banned) or (
        within(name, "trainer")
        and not within(name, "trainer.contract", "trainer.data", "trainer.engines")))


def test_app_never_imports_the_engine():
    assert not offences(modules("app"), lambda m, name: within(name, *ENGINE))


def test_gradio_only_in_the_board():
    assert not offences(modules(), lambda m, name: within(name, "gradio")
                        and not m.path.startswith(("app/board/", "bench/")))


def test_sqlite_only_in_the_store():
    assert not offences(modules(), lambda m, name: within(name, "sqlite3")
                        and m.path not in {"app/store.py", "app/migrations.py"})


def test_subprocess_only_where_children_are_kept():
    assert not offences(modules("app", "trainer"), lambda m, name: within(name, "subprocess")
                        and not m.path.startswith(SUBPROCESS))


def test_pages_import_no_pages():
    """Parts that several pages share start with an underscore; they are no pages."""
    pages = [m.name for m in modules("app/board/pages") if "._" not in m.name
             and not m.path.endswith("__init__.py")]
    assert {"app.board.pages.runs", "app.board.pages.train", "app.board.pages.run"} <= set(pages)
    assert not offences(modules("app/board/pages"), lambda m, name: within(name, *pages))


def test_a_user_that_nobody_has_is_no_crash():
    """Path.expanduser raises RuntimeError at '~nobody'; os.path.expanduser leaves the name."""
    import ast

    found = [f"{module.path}:{node.lineno}"
             for module in modules() for node in ast.walk(module.tree)
             if isinstance(node, ast.Attribute) and node.attr == "expanduser"
             and ast.unparse(node) != "os.path.expanduser"]
    assert found == []


def test_imports_are_seen_in_every_form():
    import ast

    text = "from . import b\nfrom .c import d\nimport e.f\nimport_module('g')\n"
    module = Module("app/x/a.py", "app.x.a", ast.parse(text), 4)
    assert [name for name, _ in imports(module)] == ["app.x.b", "app.x.c.d", "e.f", "g"]


@pytest.mark.parametrize("name", ["app.board.shell", "app.cli", "app.server", "app.supervisor",
                                  "trainer.contract", "trainer.data", "trainer.scoring",
                                  "trainer.engines.resolving", "trainer.engines.process"])
def test_a_fresh_import_leaves_torch_out(name):
    code = (f"import sys, {name}\n"
            "sys.exit(' '.join(m for m in ('torch', 'transformers', 'peft', 'trl', 'plotly')"
            " if m in sys.modules) or None)")
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


def test_functions_are_short():
    sizes = {name: body_lines(node) for module in modules(*CODE) for name, node in
             functions(module)}
    assert not {name: size for name, size in sizes.items() if size > 60}
    assert statistics.quantiles(sizes.values(), n=10)[-1] <= 30


def test_files_are_short():
    assert not {m.path: m.lines for m in modules(*CODE) if m.lines > 400}


def test_parameters_are_few():
    def many(node) -> bool:
        given = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        return len([name for name in given if name not in {"self", "cls"}]) > 6

    assert not [name for module in modules(*CODE) for name, node in functions(module)
                if many(node)]


def test_there_are_recipes():
    assert len(RECIPES) >= 28


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_every_recipe_is_a_valid_config(file):
    assert parse(load_yaml(file.read_text(encoding="utf-8"))).name
