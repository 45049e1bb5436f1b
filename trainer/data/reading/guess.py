"""The encoding of a text that says nothing about it.

UTF-8 comes first: a text that is UTF-8 apart from some wrong bytes stays UTF-8, so that its rows
with wrong bytes are named. Another encoding has to be convincing: many of its lines need it, and
read by it they hold what its language mostly consists of.
"""

from __future__ import annotations

import codecs
import unicodedata
from dataclasses import dataclass

_MARKS = "。，、？！：；“”‘’（）《》…—　·「」『』【】"
_CHINESE = frozenset(
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过"
    "子说产种面而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小物现实加量都两体"
    "制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与关各重新线内"
    "数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提"
    "直题党程展五果料象员革位入常文总次品式活设及管特件长求老头基资边流路级少图山统接知较将组见计"
    "别她手角期根论运农指几九区强放决西被干做必战先回则任取据处队南给色光门即保治北造百规热领七海"
    "口东导器压志世金增争济阶油思术极交受联什认六共权收证改清己美再采转更单风切打白教速花带安场身"
    "车例真务具万每目至达走积示议声报斗完类八离华名确才科张信马节话米整空元况今集温传土许步群广石"
    "记需段研界拉林律叫且究观越织装影算低持音众书布复容儿须际商非验连断深难近矿千周委素技备半办请"
    "问答吗呢吧啊谢您哪谁怎" + _MARKS)
_TRADITIONAL = frozenset(
    "的一是在不了有和人這中大為上個國我以要他時來用們生到作地於出就分對成會可主發年動同工也能下過"
    "子說產種面而方後多定行學法所民得經十三之進著等部度家電力裡如水化高自二理起小物現實加量都兩體"
    "制機當使點從業本去把性好應開它合還因由其些然前外天政四日那社義事平形相全表間樣與關各重新線內"
    "數正心反你明看原又麼利比或但質氣第向道命此變條只沒結解問意建月公無系軍很情者最立代想已通並提"
    "直題黨程展五果料象員革位入常文總次品式活設及管特件長求老頭基資邊流路級少圖山統接知較將組見計"
    "別她手角期根論運農指幾九區強放決西被幹做必戰先回則任取據處隊南給色光門即保治北請問答嗎呢吧謝您"
    + _MARKS)
_KOREAN = frozenset(
    "이다는에의가을고하지를은도한로서기사어아들나자시대해그일수있인것리라정부원과전장만보게주제안니요까"
    "습구상여면성당국치적어조연내경었했무오으비공동음유선생학개물말방소미회")
_KANA = frozenset(map(chr, [*range(0x3041, 0x3097), *range(0x30a1, 0x30fd)]))
_JAPANESE = _KANA | frozenset("。、「」の日本人年大")
_WIDE = (("gb18030", _CHINESE), ("big5", _TRADITIONAL), ("shift_jis", _JAPANESE),
         ("euc_jp", _JAPANESE), ("cp949", _KOREAN))
_QUOTES = frozenset(b"\x85\x91\x92\x93\x94\x96\x97\xa0\xa3\x80\x99")
_CURLY = frozenset(b"\x91\x92\x93\x94\x96\x97")
_ACCENTS = frozenset("éèêëàâäáãåæçñóòôöõøœúùûüíìîïßÿýÉÈÊÀÂÄÁÅÆÇÑÓÖÕØÚÜÍšžŠŽ«»¿¡"
                     "°€£§ºª·©®²³½’‘“”–—…\xa0")
_NARROW = ["cp1252", "cp1250", "cp1254", "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256",
           "cp1257", "cp1258", "cp874", "cp866"]


def guess(sample: bytes, *, whole: bool) -> str:
    """Return Python's name of the likely encoding of a text without a byte order mark.

    Args:
        sample: The beginning of the file.
        whole: Whether it is all of the file; else the last character may be torn.
    """
    if b"\0" in sample and (name := _with_nulls(sample)):
        return name
    if sample.isascii():
        return "utf-8"
    good, bad = _utf8_counts(sample, whole)
    if good >= bad:
        return "utf-8"
    return _wide(sample, whole) or _narrow(sample) or "utf-8"


def _utf8_counts(sample: bytes, whole: bool) -> tuple[int, int]:
    """Return how many characters beyond ASCII are UTF-8, and how many bytes are not.

    A torn character, which lacks its last byte, speaks for UTF-8.
    """
    text = codecs.getincrementaldecoder("utf-8")("finestra.torn").decode(sample, whole)
    bad = text.count("\udcff")
    return sum(not char.isascii() for char in text) - bad, bad


def _torn(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    length = error.end - error.start
    return chr(0xdcfe if length > 1 else 0xdcff), error.end


codecs.register_error("finestra.torn", _torn)


def _decoded(sample: bytes, name: str, whole: bool) -> tuple[str, int]:
    """Return a text and how often its bytes were wrong; a torn end does not count."""
    text = codecs.getincrementaldecoder(name)("finestra.wrong").decode(sample, whole)
    return text, text.count("\udcff")


def _with_nulls(sample: bytes) -> str:
    """Return UTF-16 or UTF-32 of some byte order, when the NULs of a text stand for it; or ''."""
    size = len(sample) // 4 * 4
    for name, empty, plane in (("utf-32-le", 3, 2), ("utf-32-be", 0, 1)):
        if size and not any(sample[empty:size:4]) and max(sample[plane:size:4]) <= 0x10 and (
                _decoded(sample[:size], name, False)[0].count("\0") * 10 < size // 4):
            return name
    units = len(sample) // 2
    first, second = sample[:units * 2:2].count(0), sample[1:units * 2:2].count(0)
    many, few = max(first, second), min(first, second)
    plain = sum(32 <= byte < 127 for byte in sample[:4096])
    enough = many * 4 >= units or (many * 50 >= units and many > 3
                                   and plain * 10 <= 7 * len(sample[:4096]))
    if not enough or few * 3 > many:
        return ""
    name = "utf-16-le" if second > first else "utf-16-be"
    text, bad = _decoded(sample, name, False)
    odd = sum(unicodedata.category(char) in {"Cn", "Cc", "Co"} and char not in "\t\r\n"
              for char in text)
    return name if (bad + odd) * 50 <= len(text) else ""


@dataclass(frozen=True)
class _Reading:
    """A text read by an encoding: the characters beyond ASCII, the wrong and the common ones."""

    name: str
    count: int
    wrong: int
    common: int

    @property
    def share(self) -> float:
        return self.common / max(self.count, 1)


def _wide(sample: bytes, whole: bool) -> str:
    """Return an encoding of East Asian text, or ''."""
    lines_share = _share_of_lines(sample)
    readings = []
    for name, common in _WIDE:
        text, wrong = _decoded(sample, name, whole)
        beyond = [char for char in text if char > "\x7f" and char != "\udcff"]
        found = _Reading(name, len(beyond), wrong, sum(char in common for char in beyond))
        if wrong * 20 <= len(beyond) and beyond:
            readings.append(found)
    if not readings:
        return ""
    best = max(readings, key=lambda found: found.share)
    if best.share >= 0.4 and best.count >= 12 and (best.wrong == 0 or lines_share >= 0.3):
        return best.name
    if lines_share < 0.3:
        return ""
    if best.share >= (0.5 if best.count < 12 else 0.2):
        return best.name
    if readings[0].name == "gb18030" and readings[0].count < 60 and _plain_chinese(sample):
        return "gb18030"
    return ""


def _plain_chinese(sample: bytes) -> bool:
    """Tell a text of the 3,755 most used Chinese characters, such as a short list of names."""
    text = sample.decode("gb18030", "replace")
    beyond = [char for char in text if char > "\x7f" and char not in _MARKS]
    used = sum(len(raw) == 2 and 0xb0 <= raw[0] <= 0xd7 and raw[1] >= 0xa1
               for raw in (char.encode("gb18030") for char in beyond))
    return len(beyond) >= 2 and used >= 0.9 * len(beyond)


def _share_of_lines(sample: bytes) -> float:
    """Return the share of the lines with text that have bytes beyond ASCII."""
    lines = [line for line in sample.replace(b"\r", b"\n").split(b"\n") if line.strip()]
    return sum(not line.isascii() for line in lines) / max(len(lines), 1)


def _narrow(sample: bytes) -> str:
    """Return an encoding with one byte a character, or ''.

    Random damage must not pass for one: several different bytes are asked for, in many lines,
    and they have to be letters of words.
    """
    beyond = [byte for byte in sample if byte > 0x7f]
    if len(beyond) < 4:
        return ""
    if set(beyond) <= _QUOTES and not _CURLY.isdisjoint(beyond) and _runs(sample) < 1.5:
        return "cp1252"
    if len(set(beyond)) < 2 or _share_of_lines(sample) < 0.3:
        return ""
    accented = sum(char in _ACCENTS for char in bytes(beyond).decode("cp1252", "replace"))
    if accented >= 0.95 * len(beyond) and _runs(sample) < 1.6:
        return "cp1252"
    found = _asked(sample)
    return found if _is_of_words(sample, found) else ""


def _runs(sample: bytes) -> float:
    """Return the mean length of runs of bytes beyond ASCII."""
    beyond = [byte > 0x7f for byte in sample]
    starts = sum(now and not before for before, now in zip([False, *beyond], beyond, strict=False))
    return sum(beyond) / max(starts, 1)


def _asked(sample: bytes) -> str:
    """Return what charset-normalizer takes a text for, of the encodings with one byte."""
    import charset_normalizer

    best = charset_normalizer.from_bytes(sample[:65536], cp_isolation=_NARROW).best()
    return best.encoding if best else ""


def _is_of_words(sample: bytes, name: str) -> bool:
    """Tell a text whose characters beyond ASCII are letters, nearly all, and small ones mostly."""
    if not name or name == "ascii":
        return False
    text = sample.decode(name, "replace")
    beyond = [char for char in text if char > "\x7f"]
    letters = sum(char.isalpha() or char in "«»„“”–—’…№°\xa0" or unicodedata.combining(char) > 0
                  for char in beyond)
    capitals = sum(char.isupper() for char in beyond)
    return letters >= 0.95 * len(beyond) and capitals * 2 <= letters
