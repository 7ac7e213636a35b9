"""Authentication: whose request it is.

Promises: the request's `Authorization` and `Cookie` are sent on to the service AUTH, and
what it says is believed; whatever else happens there means that nobody is signed in. Leaves
to others: the service itself.
"""

from __future__ import annotations

import json
import logging
from typing import Any, Final, NamedTuple

__all__ = ["TIER_GB", "User", "authenticate"]

_log = logging.getLogger("amber")

_URL: Final = "https://auth/session/validate"

#: Gigabytes that each tier brings.
TIER_GB: Final = {"free": 0, "seedling": 1, "sapling": 5, "oak": 20, "evergreen": 100}
_TIER_DEFAULT: Final = "seedling"


class User(NamedTuple):
    """Who asks.

    Attributes:
        id: The user's id.
        tier: One of `TIER_GB`.
    """

    id: str
    tier: str


async def authenticate(request: Any, env: Any) -> User | None:
    """The user of a request, or None.

    Args:
        request: What came in.
        env: Its `AUTH` is asked.
    """
    headers = {
        name: value
        for name in ("Authorization", "Cookie")
        if (value := request.headers.get(name)) is not None
    }
    if not headers:
        return None
    try:
        response = await env.AUTH.fetch(_URL, method="POST", headers=headers)
        if response.status != 200:
            return None
        answer = json.loads(await response.text())
    except Exception as error:
        # The headers hold what nobody may read in a log; the error does not.
        _log.warning("authentication failed: %s", type(error).__name__)
        return None
    return _user(answer)


def _user(answer: Any) -> User | None:
    if not isinstance(answer, dict) or answer.get("valid") is not True:
        return None
    user = answer.get("user")
    if not isinstance(user, dict) or not isinstance(user.get("id"), str) or not user["id"]:
        return None
    tier = user.get("tier")
    if not isinstance(tier, str) or tier not in TIER_GB:
        tier = _TIER_DEFAULT
    return User(user["id"], tier)
