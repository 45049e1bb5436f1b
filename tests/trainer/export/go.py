"""As much of Go's text/template as the templates for Ollama use, after its documentation.

Blocks ``if``, ``else if``, ``else``, ``range $i, $m :=``, ``end``; variables that are declared and
set; fields of the dot; the functions ``eq``, ``ne``, ``len`` and ``slice``.
"""

from __future__ import annotations

import json
import re
from typing import Any

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[()]|[^\s()]+')


class Go:
    def __init__(self, source: str) -> None:
        self.parts = re.split(r"\{\{(.*?)\}\}", source, flags=re.DOTALL)
        self.at = 0
        self.tree = self._block()[0]
        assert self.at >= len(self.parts)

    def render(self, system: str, messages: list[dict[str, str]]) -> str:
        root = {"System": system, "Messages": messages}
        return self._run(self.tree, {"$": root}, root)

    def _block(self) -> tuple[list[Any], str]:
        """Read up to the end of the block; also return what ended it."""
        found: list[Any] = []
        while self.at < len(self.parts):
            if self.at % 2 == 0:
                found.append(("text", self.parts[self.at]))
                self.at += 1
                continue
            action = self.parts[self.at].strip()
            self.at += 1
            if action == "end" or action.startswith("else"):
                return found, action
            word = action.split()[0]
            found.append(self._if(action[3:]) if word == "if" else
                         ("range", *self._range(action)) if word == "range" else ("do", action))
        return found, ""

    def _if(self, condition: str) -> Any:
        yes, ended = self._block()
        no: list[Any] = []
        if ended.startswith("else if"):
            no = [self._if(ended[8:])]
        elif ended == "else":
            no, ended = self._block()
            assert ended == "end"
        return ("if", condition, yes, no)

    def _range(self, action: str) -> tuple[str, str, str, list[Any]]:
        match = re.fullmatch(r"range (\$\w+), (\$\w+) := (\S+)", action)
        assert match
        body, ended = self._block()
        assert ended == "end"
        return match[1], match[2], match[3], body

    def _run(self, tree: list[Any], names: dict[str, Any], dot: Any) -> str:
        out = ""
        for kind, *rest in tree:
            if kind == "text":
                out += rest[0]
            elif kind == "if":
                out += self._run(rest[1] if self._value(rest[0], names, dot) else rest[2], names,
                                 dot)
            elif kind == "range":
                for number, item in enumerate(self._value(rest[2], names, dot)):
                    names |= {rest[0]: number, rest[1]: item}
                    out += self._run(rest[3], names, item)
            elif match := re.fullmatch(r"(\$\w+) (:=|=) (.*)", rest[0], re.DOTALL):
                assert match[2] == ":=" or match[1] in names
                names[match[1]] = self._value(match[3], names, dot)
            else:
                out += str(self._value(rest[0], names, dot))
        return out

    def _value(self, text: str, names: dict[str, Any], dot: Any) -> Any:
        tokens = _TOKEN.findall(text)
        value, rest = self._call(tokens, names, dot)
        assert not rest, text
        return value

    def _call(self, tokens: list[str], names: dict[str, Any], dot: Any) -> tuple[Any, list[str]]:
        values, rest = [], tokens
        while rest and rest[0] != ")":
            if rest[0] == "(":
                value, rest = self._call(rest[1:], names, dot)
                assert rest[0] == ")"
            else:
                value = self._operand(rest[0], names, dot)
            values.append(value)
            rest = rest[1:]
        function, *given = values
        return (function(*given) if callable(function) else function), rest

    def _operand(self, token: str, names: dict[str, Any], dot: Any) -> Any:
        functions = {"eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "len": len,
                     "slice": lambda items, start: items[start:]}
        if token in functions:
            return functions[token]
        if token.startswith('"') or token.isdigit():
            return json.loads(token)
        name, _, field = token.partition(".")
        value = names[name] if name else dot
        return value[field] if field else value
