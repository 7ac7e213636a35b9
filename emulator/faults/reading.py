"""Reading: a rule from its JSON.

Promises: `from_json(rule.to_json()) == rule`; what is no rule is refused with the reason.
Leaves to others: what the rule means (answers, delays, endings).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from emulator.errors import ConfigurationError, meant
from emulator.faults import answers, delays, endings

if TYPE_CHECKING:
    from emulator.simulation.faults import FaultRule

__all__ = ["from_json"]


def from_json(source: str | Mapping[str, Any]) -> FaultRule:
    """The rule that `FaultRule.to_json` has written.

    Args:
        source: The text, or what `json.loads` makes of it.

    Raises:
        ConfigurationError: If it is no rule.
    """
    try:
        given = json.loads(source) if isinstance(source, str) else source
        arguments = dict(given)
        fault = arguments.pop("fault")
    except (ValueError, TypeError, KeyError):
        message = f'a rule in JSON is an object like {{"fault": "missing"}}, got {source!r}'
        raise ConfigurationError(message) from None
    known = {name: room for room in (answers, delays, endings) for name in room.__all__}
    if fault not in known:
        message = f"there is no fault {fault!r}{meant(str(fault), known)}: {', '.join(known)}"
        raise ConfigurationError(message)
    nth = arguments.get("nth")
    try:
        if isinstance(nth, Mapping):
            arguments["nth"] = range(nth["from"], nth["to"], nth["step"])
        made: FaultRule = getattr(known[fault], fault)(**arguments)
    except ConfigurationError:
        raise
    except (TypeError, KeyError, ValueError) as error:
        message = f"no rule in JSON: {error}"
        raise ConfigurationError(message) from None
    return made
