"""What a golden case gives, in the words of the library."""

from __future__ import annotations

from typing import Any

UNLIMITED = {"P_order", "list_length", "max_p", "permute_len"}  # of these, null says that there is no limit


def given(params: dict, *same: str, **renamed: str) -> dict[str, Any]:
    """Arguments that a case gives, ``theirs=ours``; what it leaves out, or gives as null, has the library's default."""
    names = {name: name for name in same} | renamed
    known = (name for name in names if params.get(name) is not None or (name in params and name in UNLIMITED))
    return {names[name]: params[name] for name in known}


def settings(params: dict, **defaults: Any) -> dict:
    """The parameters of a case, with the authors' for those that it leaves out or gives as null."""
    return params | defaults | {name: value for name, value in params.items() if value is not None}
