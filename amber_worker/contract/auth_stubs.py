"""The auth stubs: who is signed in, for a worker that is judged.

Promises: a token that the contract has issued is its user, and any other is nobody; as a
service binding with the protocol of `amber_worker.auth`, and as whatever address outside a
worker asks about a token. Leaves to others: which of them a worker is given (target).

Outside, the token may stand in `Authorization: Bearer`, in a cookie, in the query, or in the
body (a form or JSON) under any name. The answer tells the user under the names that are
common: `valid`, `active`, `user.id`, `user_id`, `userId`, `id`, `sub`, `tier`; it is a 401
with `valid` and `active` false for nobody.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from workers import Response

__all__ = ["answer_outside", "answer_service", "user_id_for"]

#: Ids of the contract's users, which are their tokens.
_TOKEN: Final = re.compile(r"contract-user-\d+(?![\w-])")
_TIER: Final = "seedling"


def user_id_for(number: int) -> str:
    """The id, and the token, of one user."""
    return f"contract-user-{number}"


async def answer_service(request: Any) -> Response:
    """AUTH: `POST https://auth/session/validate`, 200 with `valid` and `user`."""
    user_id = _token_in(_headers(request))
    if user_id is None:
        return _response({"valid": False}, 200)
    return _response({"valid": True, "user": {"id": user_id, "tier": _TIER}}, 200)


async def answer_outside(request: Any) -> Response:
    """Any address outside that is asked about a token."""
    user_id = _token_in(f"{_headers(request)}\n{request.url}\n{await request.text()}")
    if user_id is None:
        answer = {"valid": False, "active": False, "error": "invalid_token"}
        return _response(answer, 401)
    user = {"id": user_id, "sub": user_id, "tier": _TIER, "email": f"{user_id}@example.com"}
    answer = {
        **user, "valid": True, "active": True, "user_id": user_id, "userId": user_id,
        "user": user,
    }  # fmt: skip
    return _response(answer, 200)


def _headers(request: Any) -> str:
    authorization = request.headers.get("Authorization") or ""
    kind, _, token = authorization.partition(" ")
    return f"{token if kind == 'Bearer' else ''}\n{request.headers.get('Cookie') or ''}"


def _token_in(text: str) -> str | None:
    found = _TOKEN.search(text)
    return None if found is None else found.group()


def _response(answer: dict[str, Any], status: int) -> Response:
    # Not above: whoever reads the options need not have Cloudflare's names yet.
    from workers import Response

    headers = {"Content-Type": "application/json"}
    return Response(json.dumps(answer), status=status, headers=headers)
