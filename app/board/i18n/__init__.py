"""Our own table of words, so that the language can be switched on the page.

``t(locale, key, **params)`` is the only way a page gets a word. Titles and descriptions of config
fields come from the contract in English and from ``zh_fields`` in Chinese; problems carry a code
and parameters, so the same fact can be said in either language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from app.board.i18n import (
    en,
    en_data,
    methods,
    zh,
    zh_data,
    zh_fields,
    zh_problems,
    zh_reasons,
    zh_rows,
)
from trainer.contract.config import FieldInfo
from trainer.contract.problems import Problem

_ROW = re.compile(r"Row (\d+) of (.+?) ((?:has|says|is|ends|cannot) .+)\.", re.DOTALL)
LOCALES = ("en", "zh")
TABLES: Mapping[str, Mapping[str, str]] = {
    "en": en.TABLE | en_data.TABLE | methods.together("EN"),
    "zh": zh.TABLE | zh_data.TABLE | methods.together("ZH")}


def t(locale: str, key: str, **params: object) -> str:
    """Return the text of ``key`` in a language, with its parameters filled in.

    Raises:
        KeyError: No such key; a typing error of ours.
    """
    text = TABLES[locale].get(key) or TABLES["en"][key]
    return text.format(**params) if params else text


def has(key: str) -> bool:
    """Tell whether a key exists."""
    return key in TABLES["en"]


def field_title(locale: str, info: FieldInfo) -> str:
    """Return a config field's label, its unit behind it."""
    title = _in_chinese(info)[0] if locale == "zh" else info.title
    if not info.unit:
        return title
    unit = t(locale, f"unit.{info.unit}")
    if unit.lower() in title.lower():
        return title
    return f"{title}（{unit}）" if locale == "zh" else f"{title} ({unit})"


def field_help(locale: str, info: FieldInfo) -> str:
    """Return a config field's description."""
    return _in_chinese(info)[1] if locale == "zh" else info.description


def _in_chinese(info: FieldInfo) -> tuple[str, str]:
    return zh_fields.FIELDS.get(info.path, (info.title, info.description))


def choice_label(locale: str, path: str, value: str) -> str:
    """Return the label of one choice of a field; the value itself when there is no other word."""
    key = f"choice.{path}.{value}"
    return t(locale, key) if has(key) else value


def problem_text(locale: str, problem: Problem) -> tuple[str, str]:
    """Return (message, advice) of a problem in a language."""
    return said(locale, problem.code, problem.message, problem.advice, params=problem.params)


def said(locale: str, code: str, message: str, advice: str, *,
         params: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Return (message, advice) in a language by the code of a problem, an error or an outcome.

    English, as the engine wrote it, where there is no translation; a translation may quote it.
    """
    if locale != "zh":
        return message, advice
    known = "shape_for_" + code.partition("_for_")[2] if "_for_" in code else code
    values = {**(params or {}), "english": message}
    chinese = zh_problems.MESSAGES.get(known)
    if chinese is None or not _fits(chinese, values):
        return message, advice
    return _fill(chinese, values), _fill(zh_problems.ADVICE.get(known, advice), values)


def reason_text(locale: str, reason: str) -> str:
    """Return the reason of a choice, or of an end without a code; as it came when not known."""
    if locale == "zh":
        for pattern, words in _patterns("reasons"):
            if match := pattern.fullmatch(reason):
                values = match.groupdict()
                if "shape" in values:
                    values["shape"] = shape_text(locale, values["shape"]).removesuffix("。")
                if "reason" in values:
                    values["reason"] = reason_text(locale, values["reason"])
                return _fill(words, values)
    return reason


def row_text(locale: str, message: str) -> str:
    """Return what is wrong with a row, "Row 7 of x has no 'answer'."; English where not known."""
    about = _ROW.fullmatch(message)
    if locale == "zh" and about:
        for pattern, words in _patterns("rows"):
            if match := pattern.fullmatch(about[3]):
                values = {key: zh_rows.SPEAKERS.get(value, value)
                          for key, value in match.groupdict().items()}
                return f"{about[2]} 第 {about[1]} 行：{_fill(words, values)}。"
    return message


def shape_text(locale: str, reason: str) -> str:
    """Return what rows were taken for and why; English where a part of it is not known."""
    if locale != "zh":
        return reason
    said_so = reason
    for pattern, words in _patterns("shapes"):
        for match in pattern.finditer(said_so):
            said_so = said_so.replace(match[0], _fill(words, match.groupdict()))
    plain = re.sub("“[^”]*”", "", said_so)
    return reason if re.search("[A-Za-z]{2,} [a-z]{2,}", plain) else f"{said_so}。"


@cache
def _patterns(kind: str) -> list[tuple[re.Pattern[str], str]]:
    """Return a table of texts as (pattern of the English text, Chinese text)."""
    tables = {"reasons": zh_reasons.REASONS, "rows": zh_rows.ROWS, "shapes": zh_rows.SHAPES}
    found = []
    for english, chinese in tables[kind].items():
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(english))
        found.append((re.compile(pattern, re.DOTALL), chinese))
    return found


def _fits(words: str, values: Mapping[str, str]) -> bool:
    """Tell whether every mark of a text has a value."""
    return all(mark in values for mark in re.findall(r"\{(\w+)\}", words))


def _fill(words: str, values: Mapping[str, str]) -> str:
    """Fill ``{name}`` marks; other braces stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda mark: values.get(mark[1], ""), words)
