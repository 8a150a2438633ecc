"""What counts of recalls and holds, for the goods that who asks is shown.

In the line: events that were read -> `lot_mark` as the eye sees it -> a Belief for `replay`. Contract: read only. Another's word
counts once it was judged; one's own, until it was, since who acts looks at what they just did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import psycopg

from ledger.genealogy import Belief, RecordedEvent, Word, concerns_marks, digest, spoken, untagged

MARKS = "SELECT position, lot, portion, known_as, set_marks, unset_marks, speaks FROM {views}_mark WHERE position = ANY (%s)"

_Told = tuple[str, frozenset[str], Word]  # of the portion's name, of what else it may go by


def read_belief(
    conn: psycopg.Connection,
    views: str,
    events: Sequence[RecordedEvent],
    own: str | None = None,
    then: bool = False,
) -> Belief:
    """`views`: the beginning of the views' names. `own`: the organisation whose word counts until it was judged. `then`: asked
    as of a past moment; what was declared wrong since is judged no more, and counts as it was said."""
    heard: defaultdict[tuple[int | None, str], list[_Told]] = defaultdict(list)
    judged: set[int | None] = set()
    if any(concerns_marks(item) for item in events):
        positions = [item.position for item in events if item.position is not None]
        for position, lot, portion, known_as, fresh, lifted, speaks in conn.execute(
            MARKS.format(views=views).encode(), [positions]
        ):
            word = Word(frozenset(fresh), frozenset(lifted), speaks)
            heard[position, lot].append((portion, frozenset(known_as), word))
            judged.add(position)

    def belief(lot: str, portion: str, item: RecordedEvent) -> Word:
        if item.position not in judged and (then or item.organisation == own):
            return spoken(item)
        return _believed(portion, heard.get((item.position, lot), ()))

    return belief


def _believed(portion: str, told: Sequence[_Told]) -> Word:
    """A portion goes by another name to who sees less of it: by that of the first event that they see. Then it is one of those
    that the event was about, or, where there is none, any of the lot that was marked."""
    name, event = digest(portion), digest(untagged(portion))
    for words in (
        [word for this, _, word in told if this == name],
        [word for _, known_as, word in told if event in known_as],
    ):
        if words:
            return _in_common(words)
    return _in_common(word for _, _, word in told)


def _in_common(words: Iterable[Word]) -> Word:
    """What counts for all of them."""
    common: Word | None = None
    for word in words:
        common = (
            word
            if common is None
            else Word(common.set & word.set, common.unset & word.unset, common.speaks and word.speaks)
        )
    return common or Word()
