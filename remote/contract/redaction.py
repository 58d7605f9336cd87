"""Decide which variables are secrets, and remove their values from text. Pure.

The variables of a process come from `remote/output/redact.py` and `tui/settings.py`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

SHORTEST = 8
"""Characters that a value must have to be replaced, since shorter ones occur in ordinary text."""
_LEAST = 6  # characters of a value whose name says that it is a secret, and of any part that counts
_CERTAIN = 10  # characters of half a secret that is cut in two, whatever they look like
_LONGEST = 16384  # characters of a value that are looked for
_GRAM = 4  # characters of the pieces by which a part is found
_WIDEST = 16  # most positions between two looks at a text: the fewer, the shorter the parts that count
_SECRET_NAME = re.compile(
    "(^|_)(KEYS?|APIKEYS?|TOKEN|SECRETS?|PASSWORDS?|PASSWD|PASS|(?<=_)PWD|PASSPHRASE|CREDENTIALS?|AUTH|BEARER|COOKIE|DSN|"
    "WEBHOOK|SIGNATURE|SALT|PAT|PRIVATE)(_|$|[0-9])"
)
_PLAIN_NAME = re.compile(
    "(^|_)(EXPERIMENTER|EXPERIMENT_NAME|PATH|HOME|DIRS?|DIRECTORY|FOLDER|FILE|USER|USERNAME|LOGNAME|HOST|"
    "HOSTNAME|PORT|REGION|ZONE|PROJECT|ENTITY|PROFILE|ENVIRONMENT|ENV|MODE|LEVEL|LANG|LANGUAGE|LOCALE|TZ|"
    "TERM|SHELL|EDITOR|DEVICES?|MODEL|NAME|VERSION|TIMEOUT|INTERVAL|CACHE|ENDPOINT|FORMAT|BACKEND|VAR|VARIABLE)$"
)
_OURS = re.compile("VFM_|LC_|XDG_|CUDA_|NCCL_|OMP_|MKL_|UV_(?!.*INDEX)|PYTHON|TORCH_|VLLM_(?!API)")
_WORDS = frozenset(
    (
        *("true", "false", "enabled", "disabled", "online", "offline", "none", "null", "default", "testing"),
        *("dummy", "unused", "example", "placeholder", "changeme"),
    )
)
_NUMBER = re.compile(r"[+-]?[\d.,_:]+(e[+-]?\d+)?")
_PATHS = re.compile(r"(~|\.{0,2})/[^:\n]*(:(~|\.{0,2})/[^:\n]*)*|[A-Za-z]:\\[^\n]*")
_USERINFO = re.compile(r"(://|\bhttps?:/)(?!git@)[^/\s?#'\"<>]*@")
_TAIL = re.compile(r"[A-Za-z0-9+/_-]?={0,2}")
_RARE = re.compile(r"[0-9A-Z%+]")
_RANDOM = re.compile(r"[0-9]|[a-z][A-Z]|[^\w\s.,:/-]")


def named_secret(name: str) -> bool:
    """Whether the name of a variable or an option says that it holds a secret: `API_KEY`, `db_password`."""
    upper = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").replace(".", "_").upper()
    return bool(_SECRET_NAME.search(upper)) and not _PLAIN_NAME.search(upper)


def is_secret(name: str, value: str, known: Iterable[str] = ()) -> bool:
    """Whether a variable's value must not be written anywhere.

    Not secret: numbers, paths, URLs without a password, names of users, projects and machines, values that
    are part of a `known` text (the run's own names), and values of less than `SHORTEST` characters.
    """
    text = value.strip()
    if any(text in word for word in known) or _stands_for_none(text):
        return False
    if says_secret(name, text):
        return True
    plain = _PLAIN_NAME.search(name.upper()) or _OURS.match(name.upper())
    return len(text) >= SHORTEST and not (plain or _is_plain(text))


def says_secret(name: str, value: str) -> bool:
    """Whether a variable's name says that it holds a secret, or its value is a URL with a password."""
    text = value.strip()
    if len(text) < _LEAST or _stands_for_none(text):
        return False
    return named_secret(name) or bool(_password(text))


def _stands_for_none(text: str) -> bool:
    """Whether a value is a placeholder, such as `none` or `changeme`."""
    return text.lower() in _WORDS or text.startswith("unused-")


def _is_plain(text: str) -> bool:
    if _NUMBER.fullmatch(text) or _PATHS.fullmatch(text):
        return True
    return bool(re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s?@]*", text, re.IGNORECASE))


def _password(text: str) -> str:
    """The password in a URL, as it is encoded there; empty where there is none."""
    if "://" not in text or "@" not in text:
        return ""
    try:
        return urlsplit(text).netloc.rpartition("@")[0].partition(":")[2]
    except ValueError:
        return ""


def without_passwords(text: str) -> str:
    """The text with user and password removed from its URLs; `git@` stays."""
    return _USERINFO.sub(r"\1***@", text) if "@" in text and ":/" in text else text


HIDDEN = "(hidden)"
"""Shown instead of a value whose name says that it is a secret."""
_VARIABLES = re.compile(r"[A-Z_][A-Z0-9_]*([\s,]+[A-Z_][A-Z0-9_]*)*")


def shown_value(name: str, value: Any) -> Any:
    """A config value for display: passwords in URLs removed, and hidden where the last part of its dotted
    name says that it is a secret. Names of variables (`OPENAI_API_KEY`) are shown."""
    name = name.strip().rpartition(".")[2]
    match value:
        case dict():
            return {key: shown_value(str(key), item) for key, item in value.items()}
        case list():
            return [shown_value(name, item) for item in value]
        case str() if named_secret(name) and value and not _VARIABLES.fullmatch(value):
            return HIDDEN
        case str():
            return without_passwords(value)
    return value


@dataclass(frozen=True)
class _Form:
    """A spelling of a secret. A part of it is replaced from `least` characters on where it looks random, from
    `certain` on in any case."""

    name: str
    text: str
    least: int
    certain: int
    tail: bool = False
    """Whether a character with the last bits, and padding, follow in base64."""

    def grams(self, stride: int) -> Iterable[tuple[str, int]]:
        """Pieces of `_GRAM` characters and where they begin, enough for looks at every `stride`th position of
        a text to find the form."""
        starts = range(len(self.text) - _GRAM + 1)
        if self.least == len(self.text):
            middle = self._most_random(_GRAM + stride - 1)
            starts = range(middle, min(middle + stride, len(starts)))
        return ((self.text[start : start + _GRAM], start) for start in starts)

    def _most_random(self, size: int) -> int:
        """Start of the window that is least like ordinary text."""
        windows = range(max(1, min(len(self.text), 400) - size + 1))
        return max(windows, key=lambda start: len(_RARE.findall(self.text[start : start + size])))


class Redactor:
    """Replaces secrets in text, each by `[redacted: NAME]`.

    A value is found as it is, as JSON, Python and URLs write it, in base64 and in hexadecimal digits; each
    line of a value of several lines, the password of a URL, and a third of any secret, since lines may be cut
    anywhere. Takes time proportional to the text, however many secrets there are.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """`secrets`: name → value."""
        forms: dict[str, _Form] = {}
        for name, value in sorted(secrets.items()):
            for form in _forms(name, value[:_LONGEST]):
                known = forms.get(form.text)
                if known is None or form.least < known.least:
                    forms[form.text] = form
        shortest = min((form.least for form in forms.values()), default=_LEAST)
        self._stride = max(1, min(_WIDEST, shortest - _GRAM + 1))
        self._forms_by_gram: dict[str, list[tuple[_Form, int]]] = {}
        for form in forms.values():
            for gram, start in form.grams(self._stride):
                self._forms_by_gram.setdefault(gram, []).append((form, start))
        self._grams = frozenset(self._forms_by_gram)
        self._longer = _longer_forms(forms.values())

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Redactor:
        """A redactor of those variables that are secrets."""
        return cls({name: value for name, value in variables.items() if is_secret(name, value)})

    def touches(self, text: str) -> bool:
        """Whether a text may contain a secret; fast where it does not."""
        if not self._grams:
            return False
        looks = range(0, len(text) - _GRAM + 1, self._stride)
        return not self._grams.isdisjoint([text[at : at + _GRAM] for at in looks])

    def text(self, text: str) -> str:
        """The text with secrets replaced."""
        if not self.touches(text):
            return text
        parts, position, last = list[str](), 0, ""
        for start, end, name in self._spans(text):
            if start > position or name != last or not parts:
                parts += [text[position:start], f"[redacted: {name}]"]
            position, last = end, name
        return "".join([*parts, text[position:]])

    def data(self, value: Any) -> Any:
        """JSON-like data with secrets replaced in texts and keys."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.data(key): self.data(item) for key, item in value.items()}
            case list() | tuple():
                return [self.data(item) for item in value]
        return value

    def _spans(self, text: str) -> Iterator[tuple[int, int, str]]:
        """The parts to replace, from left to right: start, end, name."""
        at, over = 0, 0
        while at <= len(text) - _GRAM:
            best = (0, 0, "")
            for form, start in self._forms_by_gram.get(text[at : at + _GRAM], ()):
                begin, end = _common(text, at, form.text, start, over)
                if end - begin > best[1] - best[0] and _counts(form, text[begin:end]):
                    for longer, offset in self._longer.get(form.text, ()):
                        if begin - offset >= over and text.startswith(longer.text, begin - offset):
                            form, begin, end = longer, begin - offset, begin - offset + len(longer.text)
                            break
                    tail = _TAIL.match(text, end) if form.tail else None
                    best = (begin, tail.end() if tail else end, form.name)
            if best[1]:
                yield best
                over = best[1]
                at = max(at + self._stride, over - over % self._stride)
            else:
                at += self._stride


def _longer_forms(forms: Iterable[_Form]) -> dict[str, list[tuple[_Form, int]]]:
    """By a form's text, the forms of the same secret that contain it, the longest first, and where.

    A line of a value is met before the value is, whose other lines may be too short to be looked for.
    """
    whole = sorted((form for form in forms if form.least == len(form.text)), key=lambda form: -len(form.text))
    longer: dict[str, list[tuple[_Form, int]]] = {}
    for form in whole:
        found = [
            (w, w.text.find(form.text)) for w in whole if len(w.text) > len(form.text) and w.name == form.name
        ]
        if containing := [(other, offset) for other, offset in found if offset >= 0]:
            longer[form.text] = containing
    return longer


def _counts(form: _Form, part: str) -> bool:
    return len(part) >= form.certain or (len(part) >= form.least and bool(_RANDOM.search(part)))


def _common(text: str, at: int, form: str, start: int, over: int) -> tuple[int, int]:
    """The part of the text around `at`, after `over`, that equals the form around `start`."""
    if at - start >= over and text.startswith(form, at - start):
        return at - start, at - start + len(form)
    begin, first = at, start
    while begin > over and first and text[begin - 1] == form[first - 1]:
        begin, first = begin - 1, first - 1
    end, last = at + _GRAM, start + _GRAM
    while end < len(text) and last < len(form) and text[end] == form[last]:
        end, last = end + 1, last + 1
    return max(begin, over), end


def _forms(name: str, value: str) -> list[_Form]:
    """Every spelling of a value that is looked for."""
    forms = []
    for part in _parts(value):
        size = len(part)
        whole = _is_structured(part)
        certain = size if whole else min(size, max(_CERTAIN, -(-size // 2)))
        least = size if whole else min(certain, max(SHORTEST, -(-size // 3)))
        forms.append(_Form(name, part, least, certain))
        for text in _escaped(part):
            forms.append(_Form(name, text, len(text) if whole else least, len(text) if whole else certain))
        forms += [_Form(name, text, len(text), len(text), tail) for text, tail in _encoded(part)]
    return [form for form in forms if len(form.text) >= _LEAST]


def _is_structured(part: str) -> bool:
    """Whether parts of a value may be public by themselves: hosts of a URL, keys of an object."""
    return "://" in part or part.lstrip()[:1] in ("{", "[", '"') or part.startswith("-----")


def _parts(value: str) -> set[str]:
    """The value, its lines, and the password of a URL."""
    text = value.strip()
    lines = re.split(r"\r?\n|\\n", text)
    parts = {text} | {line.strip(" \t,") for line in lines if len(line.strip()) >= 12}
    if password := _password(text):
        parts |= {password, unquote(password)} if len(password) >= _LEAST else set()
    return {part for part in parts if len(part) >= _LEAST}


def _escaped(part: str) -> set[str]:
    """The other spellings in JSON, JSON within JSON, Python and URLs."""
    spellings = {json.dumps(part, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False)}
    spellings |= {json.dumps(text)[1:-1] for text in tuple(spellings)}
    spellings |= {repr(part)[1:-1], repr(part.encode(errors="replace"))[2:-1]}
    percent = {
        quoted(part, safe, errors="replace") for quoted in (quote, quote_plus) for safe in ("", "/", ":/")
    }
    spellings |= percent | {re.sub(r"%..", lambda match: match[0].lower(), text) for text in percent}
    return spellings - {part}


def _encoded(part: str) -> set[tuple[str, bool]]:
    """In base64, alone or inside something longer, and in hexadecimal digits; whether a tail follows."""
    data, spellings = part.encode(errors="replace"), set[tuple[str, bool]]()
    for skipped in range(3):
        # Where the value is part of a longer one: only the characters that depend on nothing around it.
        text = base64.b64encode(b"\0" * skipped + data).rstrip(b"=").decode()
        tail = bool((len(data) + skipped) % 3)
        inner = text[-(-8 * skipped // 6) : len(text) - tail]
        if len(inner) >= SHORTEST:
            spellings |= {(inner, tail), (inner.translate(str.maketrans("+/", "-_")), tail)}
    return spellings | {(data.hex(), False), (data.hex().upper(), False)}
