"""What counts of recalls and holds, for the goods that who asks is shown.

In the line: events that were read -> `lot_mark` as the eye sees it -> a Belief for `replay`. Contract: read only. Another's word
counts once it was judged; one's own, until it was, since who acts looks at what they just did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import psycopg

from ledger.genealogy import Belief, RecordedEvent, Word, concerns_marks, digest, spoken

MARKS = "SELECT position, lot, portion, set_marks, unset_marks, speaks FROM {views}_mark WHERE position = ANY (%s)"


def read_belief(
    conn: psycopg.Connection, views: str, events: Sequence[RecordedEvent], own: str | None = None
) -> Belief:
    """`views`: the beginning of the views' names. `own`: the organisation whose word counts until it was judged."""
    heard: defaultdict[tuple[int | None, str], dict[str, Word]] = defaultdict(dict)
    judged: set[int | None] = set()
    if any(concerns_marks(item) for item in events):
        positions = [item.position for item in events if item.position is not None]
        for position, lot, portion, fresh, lifted, speaks in conn.execute(
            MARKS.format(views=views).encode(), [positions]
        ):
            heard[position, lot][portion] = Word(frozenset(fresh), frozenset(lifted), speaks)
            judged.add(position)

    def belief(lot: str, portion: str, item: RecordedEvent) -> Word:
        if item.position not in judged and item.organisation == own:
            return spoken(item)
        words = heard.get((item.position, lot), {})
        return words.get(digest(portion)) or _in_common(words.values())

    return belief


def _in_common(words: Iterable[Word]) -> Word:
    """Of a portion that goes by another name to who asks, since they see less: what counts for all of them."""
    common: Word | None = None
    for word in words:
        common = (
            word
            if common is None
            else Word(common.set & word.set, common.unset & word.unset, common.speaks and word.speaks)
        )
    return common or Word()
