"""Links of the documents lead to files that exist."""

import ast
import json
import re

import pytest

from tests.source_tree import ROOT, called, modules
from trainer.data import Row, recognise
from trainer.data.shapes.convert import convert
from trainer.data.shapes.objectives import KINDS, objectives_of

PAGES = sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"),
                                                         ROOT / "assets/make/README.md",
                                                         ROOT / "data/README.md"])


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#\s]+)", text)
    missing = [link for link in links if "://" not in link
               and not (ROOT / page).parent.joinpath(link).exists()]
    assert not missing


def test_every_room_of_the_architecture_is_there_and_named():
    """Whoever moves a file or opens a room says so."""
    rooms = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("```")[1]
    above, named = [], set()
    for line in rooms.strip("\n").splitlines():
        depth = len(line) - len(line.lstrip())
        names = [name for name in re.split(r" {2,}", line.strip())[0].replace(",", "").split()
                 if name.endswith((".py", "/"))]
        above = [room for room in above if room[0] < depth]
        folder = ROOT.joinpath(*(name for _, name in above))
        found = {name: list(folder.glob(name.rstrip("/"))) for name in names}
        assert all(found.values()), (line, found)
        named |= {path for paths in found.values() for path in paths}
        above += [(depth, name) for name in names if name.endswith("/")]
    assert len(named) > 90
    assert {path.parent for place in ("app", "trainer")
            for path in (ROOT / place).glob("*/*.py")} <= named


# The place of the code among the arguments of what says something of a row.
CODE_AT = {"RowProblem": 2, "RowError": 0, "Remark": 0}


def row_codes():
    """Every code that a row can be given, as written in trainer/data."""
    calls = [node for module in modules("trainer/data") for node in ast.walk(module.tree)
             if isinstance(node, ast.Call) and called(node) in CODE_AT]
    places = [node.args[CODE_AT[called(node)]] for node in calls
              if len(node.args) > CODE_AT[called(node)]]
    return {part.value for place in places for part in ast.walk(place)
            if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def test_every_code_of_a_row_is_explained():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    explained = {code for line in text.splitlines() if line.startswith("| `")
                 for code in re.findall(r"`([a-z_0-9]+)`", line.split("|")[1])}
    found = row_codes()
    assert {"not_json", "empty_text", "duplicate", "special_token"} <= found
    assert found - explained == set()


def test_every_shape_is_what_its_example_is_recognised_as():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| (\w+) \| `(\{.*?\})`[^`|]*(?:`\w+`[^`|]*)*\| (.*) \|$", text, re.M)
    assert len(found) == 11
    for kind, example, purpose in found:
        row = Row(1, json.loads(example))
        shape = recognise([row])
        assert shape.kind == kind, example
        assert convert(row, shape)
        assert set(re.findall(r"\w+", purpose)) & set(KINDS) == set(objectives_of(shape.kind))


def test_every_objective_is_told_what_it_reads():
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    table = text.partition("| objective | reads |")[2].partition("\n\n")[0]
    named = [name for line in table.splitlines()[2:] for name in line.split("|")[1].split(",")]
    assert sorted(name.strip() for name in named) == sorted(KINDS)


def test_every_route_is_documented():
    from app.api import (
        datasets,
        evaluations,
        events,
        exports,
        files,
        machine,
        migrate,
        models,
        openai_admin,
        runs,
    )

    text = (ROOT / "docs" / "rest.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| ([A-Z]+) (/\S*) \|", text, re.M)
    served = {(method, route.path.replace("{run_id}", "{id}").replace(":path}", "}"))
              for module in (machine, runs, files, exports, evaluations, events, datasets, migrate,
                             models, openai_admin)
              for route in module.router.routes for method in route.methods}
    assert set(documented) == served and len(documented) == len(served)


def test_every_variable_that_is_read_is_a_documented_setting():
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    read = {node.value for module in [*modules("app"), *modules("trainer")]
            for node in ast.walk(module.tree) if isinstance(node, ast.Constant)
            and re.fullmatch(r"FINESTRA_[A-Z_]+", str(node.value))}
    assert {"FINESTRA_HOME", "FINESTRA_ENGINE", "FINESTRA_JUDGE_KEY"} <= read
    assert read - set(re.findall(r"`(FINESTRA_[A-Z_]+)`", text)) == set()


def test_every_command_of_the_documents_is_there():
    from typer.main import get_command

    from app.cli import app

    commands = get_command(app).commands
    pages = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
    named = {(page, *words) for page, text in pages.items()
             for words in re.findall(r"(?:^|[`/ ])finestra ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?",
                                     "\n".join(re.findall(r"`[^`\n]+`|^.*bin/finestra .*$|"
                                                          r"^finestra .*$", text, re.M)), re.M)}
    assert len(named) > 20
    for page, verb, second in sorted(named):
        assert verb in commands, (page, verb)
        below = getattr(commands[verb], "commands", None)
        assert not below or not second or second in below, (page, verb, second)
