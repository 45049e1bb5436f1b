"""The Chat page's frame: its elements, its words, and scripts that make no HTML."""

import re
from html.parser import HTMLParser

import pytest

from app.board import shell
from app.board.i18n import TABLES
from app.board.pages import _chat_page
from app.board.pages._chat_page_settings import PARAMETERS
from app.chats.presets import BUILT_IN
from app.chats.prompts import NOTES
from app.chats.rows import FORMATS
from trainer.contract.conversation import MAX_LANES, Settings

ELEMENTS = {
    "chat", "chat-side", "chat-new", "chat-search", "chat-list", "chat-export-all", "chat-title",
    "chat-lanes", "chat-lane-add", "chat-blind", "chat-said", "chat-turns", "chat-empty",
    "chat-form", "chat-input", "chat-attach", "chat-send", "chat-stop", "chat-settings",
    "chat-drawer", "chat-system", "chat-preset", "chat-preset-name", "chat-preset-save",
    "chat-tools", "chat-tools-example", "chat-plain", "chat-more", "chat-export-markdown",
    "chat-export-json", "chat-export-jsonl", "chat-dataset-open", "chat-dataset-go", "chat-exact"}
VOID = {"input", "br", "hr", "img", "path", "circle", "rect", "polyline"}


class Read(HTMLParser):
    """What stands in a page: ids, labels, and whether every element is closed."""

    def __init__(self, html):
        super().__init__()
        self.ids, self.settings, self.described, self.open = [], [], set(), []
        self.labelled = set()
        self.nameless = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.settings += [given["data-set"]] if "data-set" in given else []
        self.labelled |= {given["for"]} if "for" in given else set()
        self.described |= set((given.get("aria-describedby") or "").split())
        if tag in ("input", "textarea", "select") and given.get("type") != "radio" \
                and "aria-label" not in given and "label" not in self.open:
            self.nameless.append(given["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module", params=["en", "zh"])
def read(request):
    return Read(_chat_page.page(request.param))


@pytest.fixture(scope="module")
def scripts():
    return {name: (shell.STATIC / name).read_text(encoding="utf-8")
            for name in shell.OWN_SCRIPTS["chat"]}


def test_every_element_is_there_once_and_closed(read):
    assert set(read.ids) >= ELEMENTS
    assert len(read.ids) == len(set(read.ids)) and read.open == []


def test_every_input_has_a_label(read):
    assert set(read.nameless) <= read.labelled
    assert read.described <= set(read.ids)


def test_every_setting_of_a_conversation_can_be_set(read):
    assert set(read.settings) == set(Settings.model_fields)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.name)
def test_the_bounds_are_those_of_the_service(parameter):
    for value in (parameter.low, parameter.high):
        Settings.model_validate({parameter.name: value})


def test_every_word_that_a_script_asks_for_exists(scripts):
    known = _chat_page.words("en")
    text = "".join(scripts.values())
    asked = set(re.findall(r'\b(?:C\.)?word\("([\w.-]+)"', text))
    asked |= set(re.findall(r'C\.button\("([\w-]+)"', text))
    asked |= set(re.findall(r'C\.act\("\w+", "([\w-]+)", \(\) => [^`]*?\)[,;)\]]', text))
    assert len(asked) > 60
    assert sorted(asked - set(known)) == []
    assert _chat_page.words("zh").keys() == known.keys()


def test_words_that_are_put_together_exist():
    known = _chat_page.words("en")
    states = ("waiting", "loading", "writing", "stopped", "failed")
    wanted = [*(f"set.{name}" for name in Settings.model_fields),
              *(f"help.{name}" for name in Settings.model_fields),
              *(f"kind.{name}" for name in ("base", "run", "checkpoint", "endpoint", "other")),
              *(f"state.{name}" for name in states), *(f"note.{code}" for code in NOTES),
              *(f"chat.preset.{name}" for name in BUILT_IN), "voted_tie", "voted_neither"]
    assert [name for name in wanted if name not in known] == []
    assert {f"export_{kind}" for kind in FORMATS} <= set(known)


def test_no_word_is_left_over(scripts):
    """A word that neither a script nor the frame says any more."""
    said = "".join(scripts.values()) + "".join(
        (shell.STATIC.parent / "pages" / name).read_text(encoding="utf-8")
        for name in ("_chat_page.py", "_chat_page_settings.py"))
    families = ("set.", "help.", "kind.", "state.", "note.", "empty_", "export_", "dataset_",
                "voted_")
    words = {key.removeprefix("talk.") for key in TABLES["en"] if key.startswith("talk.")}
    assert [name for name in sorted(words) if not name.startswith(families)
            and not re.search(rf'["_.\']{re.escape(name)}["`\']', said)] == []


def test_errors_are_said_in_the_pages_language():
    assert _chat_page.errors("en") == {}
    assert all(re.search("[一-鿿]", said) for said, _ in _chat_page.errors("zh").values())
    assert "device_busy" in _chat_page.errors("zh") or "overloaded" in _chat_page.errors("zh")


@pytest.mark.parametrize("way", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write",
                                 "DOMParser", "createContextualFragment", "srcdoc", "eval(",
                                 "new Function", "setHTML"])
def test_scripts_make_no_html(scripts, way):
    assert [name for name, text in scripts.items() if way in text] == []


def test_only_data_urls_of_pictures_are_shown(scripts):
    shown = [line for text in scripts.values() for line in text.splitlines() if "src: " in line]
    assert len(shown) == 2
    assert "data:image" in scripts["chat_turns.js"] and "readAsDataURL" in scripts["chat.js"]


def test_the_scripts_are_loaded_on_this_page_alone():
    for name in (*shell.OWN_SCRIPTS["chat"], "chat.css"):
        assert f"/{name}?v=" in shell.head_html("en", "chat")
        assert f"/{name}?v=" not in shell.head_html("en", "runs")
    assert f"MOST = {MAX_LANES};" in (shell.STATIC / "chat_models.js").read_text(encoding="utf-8")
    header = shell.header_html("en", "chat")
    assert header.index("nav-data") < header.index("nav-chat") < header.index("nav-models")
