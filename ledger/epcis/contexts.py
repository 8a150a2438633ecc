"""What the prefixes and terms of a JSON-LD `@context` stand for, and how many of them one may declare.

Between `bounds` (which any JSON passes first) and the two who read contexts: the door, which refuses one, and
the event hash, which writes meanings out. Contract: the text that a context stands for is bounded by its
terms and never by what they make of one another. A meaning may begin with another term, so that without a
bound a few hundred kilobytes say gigabytes.

Contexts named by address are not fetched and contexts inside contexts are not read; neither declares anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ledger.epcis.identifiers import LONGEST
from ledger.epcis.problems import EventError, Problem, pointer_to, short

MOST_TERMS = 200
"""Terms that one context may declare, in all its objects. The published documents have 65 at most."""
LONGEST_MEANING = LONGEST
"""Characters that one term may stand for, the terms it begins with written out."""


def refuse_context(context: object) -> None:
    """Raises EventError where a context declares more, or longer, than is read. `context`: as written, after
    `bounds`."""
    meanings: dict[str, str] = {}
    problems: list[Problem] = []
    for count, (pointer, name, said) in enumerate(_terms(context), start=1):
        if count > MOST_TERMS:
            wanted = f"want at most {MOST_TERMS}, those that the events use"
            problems.append(Problem("/@context", f"declares too many terms; {wanted}"))
            break
        meaning = expanded(said, meanings)
        if len(meaning) <= LONGEST_MEANING:
            meanings[name] = meaning
        else:
            got = f"got {short(said)}, which stands for {len(meaning)} characters"
            problems.append(Problem(pointer, f"{got}; want at most {LONGEST_MEANING}"))
    if problems:
        raise EventError(problems)


def declared(contexts: Iterable[Any]) -> dict[str, str]:
    """Term -> meaning over contexts that `refuse_context` took, in order: a later one overrides an earlier
    one.

    Meanings stay bounded over several contexts as well: in each the terms are bounded by themselves, and only
    the first term of a chain can be another context's.
    """
    meanings: dict[str, str] = {}
    for context in contexts:
        for _, name, said in _terms(context):
            meanings[name] = expanded(said, meanings)
    return meanings


def expanded(text: str, prefixes: Mapping[str, str]) -> str:
    """`example:thing` -> `https://example.com/thing` where the prefix is known; anything else unchanged."""
    prefix, colon, local = text.partition(":")
    return prefixes[prefix] + local if colon and prefix in prefixes and not local.startswith("//") else text


def _terms(context: Any) -> Iterator[tuple[str, str, str]]:
    """Pointer, name and meaning as written of every term: `{"ex": "urn:x:"}` or `{"ex": {"@id": "urn:x:"}}`."""
    several = isinstance(context, list | tuple)
    for place, part in enumerate(context if several else [context]):
        for name, value in part.items() if isinstance(part, Mapping) else ():
            said = value.get("@id") if isinstance(value, Mapping) else value
            if isinstance(said, str) and not name.startswith("@"):
                yield pointer_to(["@context", *([place] if several else []), name]), name, said
