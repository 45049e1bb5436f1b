"""The Chat page's drawer: system prompt, presets, every sampling parameter, tools."""

from __future__ import annotations

from dataclasses import dataclass

from app.board import icons
from app.board.i18n import t
from app.board.pages._parts import text


@dataclass(frozen=True)
class Parameter:
    """A number that can be set: its bounds and the step of the arrows."""

    name: str
    low: float
    high: float
    step: str


PARAMETERS = (
    Parameter("temperature", 0, 10, "0.1"), Parameter("top_p", 0.01, 1, "0.05"),
    Parameter("top_k", -1, 1_000_000, "1"), Parameter("min_p", 0, 1, "0.01"),
    Parameter("repetition_penalty", 0.01, 10, "0.05"),
    Parameter("presence_penalty", -2, 2, "0.1"), Parameter("frequency_penalty", -2, 2, "0.1"),
    Parameter("max_tokens", 1, 1_000_000, "1"), Parameter("seed", 0, 2 ** 31 - 1, "1"),
)


def drawer(locale: str) -> str:
    """Return the settings; the script opens them and fills them in."""
    def word(key: str) -> str:
        return text(t(locale, f"talk.{key}"))

    return (f'<section id="chat-drawer" class="f-drawer" aria-label="{word("settings")}" hidden>'
            f'<div class="f-card-head"><h2>{word("settings")}</h2>'
            f'<button type="button" id="chat-drawer-close" class="f-act" '
            f'aria-label="{word("close")}" title="{word("close")}">{icons.CLOSE}</button></div>'
            f'<label class="f-label" for="chat-system">{word("system")}</label>'
            f'<textarea id="chat-system" rows="3" placeholder="{word("system_hint")}"></textarea>'
            f"{_presets(locale)}<h3>{word('sampling')}</h3>"
            f'<div class="f-params">{"".join(_number(locale, p) for p in PARAMETERS)}'
            f"{_thinking(locale)}</div>{_stop(locale)}"
            f'<p id="chat-set-said" class="f-error" role="alert" hidden></p>'
            f'<button type="button" id="chat-reset" class="f-link">{word("reset")}</button>'
            f"{_tools(locale)}"
            f'<label class="f-tick"><input type="checkbox" id="chat-plain">'
            f'<span>{word("plain")}</span></label></section>')


def _presets(locale: str) -> str:
    def word(key: str) -> str:
        return text(t(locale, f"talk.{key}"))

    return (f'<label class="f-label" for="chat-preset">{word("preset")}</label>'
            f'<div class="f-inline"><select id="chat-preset"><option value="">'
            f'{word("preset_none")}</option></select>'
            f'<button type="button" id="chat-preset-delete" class="f-act" hidden '
            f'aria-label="{word("preset_delete")}" title="{word("preset_delete")}">{icons.BIN}'
            f'</button></div><div class="f-inline"><input type="text" id="chat-preset-name" '
            f'maxlength="64" aria-label="{word("preset_name")}" '
            f'placeholder="{word("preset_name")}">'
            f'<button type="button" id="chat-preset-save" class="f-button f-small">'
            f'{word("preset_save")}</button></div>'
            f'<p id="chat-preset-said" class="f-quiet" role="status"></p>')


def _labelled(locale: str, name: str, body: str) -> str:
    title = text(t(locale, f"talk.set.{name}"))
    help_words = text(t(locale, f"talk.help.{name}"))
    return (f'<div class="f-param" title="{help_words}"><label for="chat-set-{name}">{title}'
            f'</label>{body}<span id="chat-help-{name}" class="f-unseen">{help_words}</span></div>')


def _number(locale: str, parameter: Parameter) -> str:
    name = parameter.name
    return _labelled(locale, name, (
        f'<input type="number" id="chat-set-{name}" data-set="{name}" inputmode="decimal" '
        f'min="{parameter.low}" max="{parameter.high}" step="{parameter.step}" '
        f'aria-describedby="chat-help-{name}" placeholder="{text(t(locale, "talk.default"))}">'))


def _thinking(locale: str) -> str:
    options = "".join(f'<option value="{value}">{text(t(locale, f"talk.{key}"))}</option>'
                      for value, key in (("", "default"), ("true", "on"), ("false", "off")))
    return _labelled(locale, "enable_thinking", (
        '<select id="chat-set-enable_thinking" data-set="enable_thinking" '
        f'aria-describedby="chat-help-enable_thinking">{options}</select>'))


def _stop(locale: str) -> str:
    title, said = text(t(locale, "talk.set.stop")), text(t(locale, "talk.help.stop"))
    return (f'<label class="f-label" for="chat-set-stop">{title}</label>'
            f'<textarea id="chat-set-stop" data-set="stop" rows="2" class="f-code-in" '
            f'spellcheck="false" placeholder="{said}"></textarea>')


def _tools(locale: str) -> str:
    def word(key: str) -> str:
        return text(t(locale, f"talk.{key}"))

    return (f'<label class="f-label" for="chat-tools">{word("tools")}</label>'
            f'<textarea id="chat-tools" rows="4" class="f-code-in" spellcheck="false" '
            f'aria-describedby="chat-tools-said" placeholder="{word("tools_hint")}"></textarea>'
            f'<p id="chat-tools-said" class="f-quiet" role="status"></p>'
            f'<button type="button" id="chat-tools-example" class="f-link">'
            f'{word("tools_example")}</button>')
