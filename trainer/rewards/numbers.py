r"""Numbers as people and models write them: 1,234 · $5.00 · 50 % · 3/4 · 1 1/2 · \frac{3}{4}."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

# A number with more digits, or with a larger exponent, is no answer but an attack on memory.
MOST_DIGITS = 200
_SUPERSCRIPTS = dict.fromkeys(map(ord, "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ"))
_LIKE_ASCII = str.maketrans({"−": "-", "\u2044": "/", "٫": ".", "٬": ",", "\u2019": "'"})
_FRAC = re.compile(r"\\[dt]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(-?\d+)\s*\}")
_CURRENCY = "$€£¥₹₩₽元"
_WHOLE = r"\d{1,3}(?:,\d{2,3})*,\d{3}|\d{1,3}(?:[ ']\d{3})+(?!\d)|\d+(?:_\d{3})*"
# The first line only spares time: no number begins in another way.
_NUMBER = re.compile(
    rf"(?=[-+.\d{_CURRENCY}])"
    rf"(?P<sign>(?<![\w)\]}}])[-+])?(?:[{_CURRENCY}]\s?)?(?P<late>(?<=[{_CURRENCY}])[-+])?"
    rf"(?:(?P<mixed>\d+)\s+(?=\d+/\d))?"
    rf"(?P<whole>(?:{_WHOLE})(?:\.\d+)?|\.\d+)(?P<exponent>[eE][-+]?\d+)?"
    rf"(?:/(?P<under>\d+)(?![/\d]))?(?P<percent>\s?%)?")
# Of a reversed text: what stands after the last letter before its last digit. No number goes over
# a letter other than e, so that those behind it are the same whatever stands before.
_END = re.compile(r"\D*\d[^a-df-zA-DF-Z]*")


@dataclass(frozen=True)
class Number:
    """A number, and whether it was written as a percentage; ``bare`` is it without the sign %."""

    bare: Fraction
    percent: bool = False

    @property
    def value(self) -> Fraction:
        """The number itself: 50 % is 1/2."""
        return self.bare / 100 if self.percent else self.bare

    def equals(self, other: Number) -> bool:
        """Tell whether two numbers are the same.

        Whole numbers must be equal, others to six digits (0.333333 for 1/3). Asked how many per
        cent, people write 50 as well as 50 %.
        """
        if self.percent != other.percent and abs(self.bare) > 1 and _close(self.bare, other.bare):
            return True
        return _close(self.value, other.value)


def _close(left: Fraction, right: Fraction) -> bool:
    if left.denominator == right.denominator == 1:
        return left == right
    return abs(left - right) <= min(abs(right), Fraction(1)) / 10**6


def plain(text: str) -> str:
    """Return a text with its digits, signs and fractions in ASCII; exponents are left out."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_SUPERSCRIPTS)).translate(_LIKE_ASCII)
        text = "".join(str(unicodedata.decimal(c)) if c.isdecimal() and not c.isascii() else c
                       for c in text)
    if "\\" in text:
        text = _FRAC.sub(r" \1/\2 ", text).replace("\\%", "%").replace("\\$", "$")
    return text.replace("{,}", ",")


def find_numbers(text: str) -> list[Number]:
    """Return the numbers of a text, in their order."""
    found = (_read(match) for match in _NUMBER.finditer(plain(text)))
    return [number for number in found if number is not None]


def last_number(text: str) -> Number | None:
    """Return the last number of a text, None when there is none; those before cost no time."""
    text = plain(text)
    end = _END.match(text[::-1])
    if end is None:
        return None
    found = [_read(match) for match in _NUMBER.finditer(text, len(text) - end.end())]
    if not any(found):
        found = list(find_numbers(text))
    return next((number for number in reversed(found) if number), None)


def as_number(text: str) -> Number | None:
    """Return the number that a text is, None when it is more or less than one."""
    match = _NUMBER.fullmatch(plain(text).strip().rstrip(".").strip())
    return _read(match) if match else None


def _read(match: re.Match[str]) -> Number | None:
    if match[0].isdecimal() and len(match[0]) <= MOST_DIGITS:
        return Number(Fraction(int(match[0])))
    parts = match.groupdict()
    digits = re.sub(r"[ ,_']", "", parts["whole"])
    power = parts["exponent"] or "e0"
    if max(map(len, (digits, parts["mixed"] or "", parts["under"] or ""))) > MOST_DIGITS \
            or len(power) > 6 or abs(int(power[1:])) > MOST_DIGITS:
        return None
    value = Fraction(int(digits)) if digits.isdecimal() else Fraction(digits)
    if parts["exponent"]:
        value *= Fraction(10) ** int(power[1:])
    if parts["under"] is not None:
        if int(parts["under"]) == 0:
            return None
        value /= int(parts["under"])
    if parts["mixed"]:
        value += int(parts["mixed"])
    negative = "-" in (parts["sign"] or "") or parts["late"] == "-"
    return Number(-value if negative else value, parts["percent"] is not None)
