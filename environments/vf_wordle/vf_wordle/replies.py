"""What a player's reply says: the one guess in it, and how close it is to the form that was asked for.

Whether the guess is a word, and what it is worth, is left to `rules` and `scoring`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

ReplyForm = Literal["tagged", "plain"]
THOUGHT_ENDS = "</think>"

_TAG = re.compile(r"<guess>(.*?)</guess>", re.DOTALL | re.IGNORECASE)
_THINK = re.compile(r"<(/?)think>", re.IGNORECASE)
_ALONE = re.compile(r"[\s\"'`*_(\[]*([A-Za-z]+)[\s\"'`*_)\].,;:!?]*")


@dataclass(frozen=True)
class Reply:
    """What a player's reply says."""

    word: str | None
    """The one word it offers, in lower case and of any length; None where there is no such word."""
    form: float
    """How close the reply is to the form that was asked for, 0 to 1; 1 means one word of the right length."""


def read_reply(text: str, form: ReplyForm, length: int, thinking: bool = False) -> Reply:
    """Find the guess in a reply: between `<guess>` tags, or the whole of a plain one.

    With `thinking` only what follows the thought is read. Some chat templates open the thought
    themselves, so that a reply may hold its end alone: one that holds no end may be all thought, and
    says nothing.
    """
    if thinking:
        return _read_thinking(text, form, length)
    return _read_tagged(text, length) if form == "tagged" else _read_plain(text, length)


def _read_thinking(text: str, form: ReplyForm, length: int) -> Reply:
    tags = list(_THINK.finditer(text))
    if not tags:  # half the form, so that a model that does not think yet learns the rest of it
        return Reply(None, read_reply(text, form, length).form / 2)
    if not tags[-1][1]:
        return Reply(None, 0.0)  # the thought never ends
    return read_reply(text[tags[-1].end() :], form, length)


def _read_plain(text: str, length: int) -> Reply:
    match = _ALONE.fullmatch(text)
    if match is not None:
        return _one_word(match[1], length)
    # A chatty reply earns a little more the fewer words it has: a small model writes sentences at
    # first, and a part that is 0 for all of them would teach it nothing.
    words = len(text.split())
    return Reply(None, 0.5 / max(words, 2) if words else 0.0)


def _read_tagged(text: str, length: int) -> Reply:
    found = _TAG.findall(text)
    if not found:
        return Reply(None, 0.0)
    match = re.fullmatch(r"\s*([A-Za-z]+)\s*", found[0])
    if len(found) > 1 or match is None:
        return Reply(None, 0.25)  # several guesses at once are no guess
    return _one_word(match[1], length)


def _one_word(word: str, length: int) -> Reply:
    return Reply(word.lower(), 1.0 if len(word) == length else 0.5)
