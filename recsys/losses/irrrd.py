"""IR-RRD: RRD for users, and its item side, the users that a teacher ranks for an item."""

from __future__ import annotations

from recsys.losses.rrd import RRD


class ItemRRD(RRD):
    """Rank users for an item, the item side of IR-RRD. Kang et al., Information Sciences 2021.

    ``RRD`` with items as rows and users in the lists. IR-RRD adds both to the summed BPR, with the authors' weights as
    ``1e-3 * RRD() + 5e-4 * ItemRRD()``. student: scores (R, K) of interesting users, best first, and (R, L) of
    uninteresting ones; there is one row for each distinct item in the lists of the batch's users, see ``IRRRDLists``.

    Example::

        >>> interesting, uninteresting = torch.tensor([[2.0, 1.0]]), torch.tensor([[-9.0]])  # users of an item
        >>> ItemRRD()((interesting, uninteresting)) < ItemRRD()((interesting.flip(1), uninteresting))
        tensor(True)
    """

    on = ("interesting_users", "uninteresting_users")
