"""The one number that a piece of text gives, exactly, however it is written.

Owns notation: signs, digits, thousands, fractions, powers of ten, currency, LaTeX. Where in a reply the
number has to stand is `replies`'. A text that could be read in two ways gives no number: a guess beside
another one must not pay.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

_LONGEST = 60
"""Characters of one number: longer ones are no answer, and take long to compute with."""

_WHOLE = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_NUMBER = re.compile(rf"[+-]?(?P<plain>{_WHOLE}(?:\.\d*)?|\.\d+)(?:e(?P<power>[+-]?\d{{1,2}}))?", re.I)
_FRACTION = re.compile(r"(?P<sign>[+-]?)(?:(?P<whole>\d+) +)?(?P<above>\d+) ?/ ?(?P<below>\d+)")
_FRACTION_PART = re.compile(r"(?<![\w.,/+-])[+-]?(?:\d+ +)?\d+ ?/ ?\d+(?![\w/]|[.,]\d)")
# A number is read with everything that touches it, so that no part of 3rd, 1.2.3 or 12:30 is taken alone.
_WORD = re.compile(r"[^\s=()\[\]|<>~≈]+")
_SIGN_APART = re.compile(r"[-–—]\s+(?=[\d.$])")
_MINUS_WORD = re.compile(r"\b(?:minus|negative)\s+(?=[\d.])", re.I)
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_SCALED = re.compile(rf"\s+({'|'.join(_SCALES)})\b", re.I)

_LATEX_WORDS = re.compile(r"\\(?:text|mathrm|mathbf|textbf|operatorname|mbox|boxed)\s*\{([^{}]*)\}")
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}")
# What sets thousands apart in type; between digits it is a comma, and the rules for commas hold.
_GROUPED = re.compile(r"(?<=\d)(?:\\,|\{,\}|[\u00a0\u2007\u2009\u202f])(?=\d)")
_LATEX_REST = re.compile(r"\\(?:left|right|displaystyle|quad)\b|\\[,;:! ()\[\]]|[{}]")
_TYPOGRAPHY = str.maketrans(
    {"\u2212": "-", "\ufe63": "-", "\uff0d": "-", "\uff0b": "+", "\uff0c": ",", "\uff0e": ".", "\u2044": "/"}
)
_CURRENCY = "$€£¥₹"
_BEFORE = "*_`\"'“‘" + _CURRENCY
_AFTER = "*_`\"'”’.,;:!?%°" + _CURRENCY


def read_number(text: str) -> Fraction | None:
    """The number that a text gives: alone, or the only one among words; None where there is not one.

    After an equals sign only what follows the last one counts: `3 + 4 = 7` is 7.
    """
    said = _plain(text).rpartition("=")[2]
    alone = _value(_stripped(said))
    return _among_words(said) if alone is None else alone


def is_bare(text: str) -> bool:
    """Whether a text is a number and nothing else: no words and no equation, only signs as in `$5.`."""
    return _value(_stripped(_plain(text))) is not None


def _among_words(said: str) -> Fraction | None:
    fractions = _FRACTION_PART.findall(said)
    rest = _FRACTION_PART.sub(" ", said)
    words = [word for word in _WORD.finditer(rest) if re.search(r"\d", word[0])]
    if len(fractions) + len(words) != 1:
        return None
    if fractions:
        return _value(fractions[0])
    value = _value(_stripped(words[0][0]))
    scale = _SCALED.match(rest, words[0].end())
    return value * _SCALES[scale[1].lower()] if value is not None and scale else value


def _stripped(text: str) -> str:
    return text.strip().lstrip(_BEFORE).rstrip(_AFTER).strip()


def _plain(text: str) -> str:
    """The text without LaTeX and typography; every decimal digit becomes an ASCII one."""
    text = _LATEX_WORDS.sub(r" \1 ", text)
    text = _LATEX_FRACTION.sub(r" \1/\2 ", text)
    text = text.replace("\\$", "$").replace("\\%", "%").translate(_TYPOGRAPHY)
    text = "".join(_ascii_digit(sign) for sign in text)
    text = _LATEX_REST.sub(" ", _GROUPED.sub(",", text))
    return _SIGN_APART.sub("-?", _MINUS_WORD.sub("-", text))  # `- 5` may be a bullet or a sign: neither


def _ascii_digit(sign: str) -> str:
    """`٣` is 3. Other signs that stand for a number (½, ², Ⅻ) become one that no number can be read with."""
    if sign.isascii():
        return sign
    value = unicodedata.decimal(sign, None)
    if value is not None:
        return str(value)
    return "0?0" if unicodedata.category(sign) in ("No", "Nl") else sign


def _value(written: str) -> Fraction | None:
    """What a number alone is worth; None where it is anything else."""
    sign = re.match(rf"([+-]?)[{_CURRENCY}]\s?(?=[\d.])", written)
    if sign:
        written = sign[1] + written[sign.end() :]
    if len(written) > _LONGEST:
        return None
    fraction = _FRACTION.fullmatch(written)
    if fraction:
        return _fraction(fraction)
    match = _NUMBER.fullmatch(written)
    if match is None:
        return None
    power = int(match["power"] or 0)
    value = Fraction(match["plain"].replace(",", "")) * Fraction(10) ** power
    return -value if written.startswith("-") else value


def _fraction(match: re.Match[str]) -> Fraction | None:
    below = int(match["below"])
    if below == 0:
        return None
    value = int(match["whole"] or 0) + Fraction(int(match["above"]), below)
    return -value if match["sign"] == "-" else value
