"""Users who have every item: a bot, a tester, or everyone in a tiny catalogue."""

from __future__ import annotations

import logging

from recsys.data.interactions import Interactions
from recsys.data.splitting import some_events

_log = logging.getLogger(__name__)
_SHOWN = 3


def without_full_users(pairs: Interactions) -> Interactions:
    """Drop the pairs of users who have every item; the same object where there are no such users, or no others.

    Such a user has no item left as a negative or for a list, and so gives nothing to rank. The log names the users left
    out; all ids stay. O(U), and O(n log n) where some are left out.
    """
    degrees = pairs.degrees()
    full = (degrees == pairs.num_items - int(pairs.padding)) & (degrees > 0)
    if not bool(full.any()) or bool((full == (degrees > 0)).all()):
        return pairs
    users = full.nonzero().squeeze(1).tolist()
    names = [str(user) if pairs.user_tokens is None else repr(pairs.user_tokens[user]) for user in users]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    _log.warning("users who have every item train nothing here: %s%s", ", ".join(names[:_SHOWN]), more)
    return some_events(pairs, ~full[pairs.events()[0]])
