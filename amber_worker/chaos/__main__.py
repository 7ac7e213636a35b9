"""One unit, as JSON from the standard input to the standard output: what a cluster runs."""

from __future__ import annotations

import json
import sys

from amber_worker.chaos.exploring import explore_unit
from amber_worker.chaos.units import Unit

if __name__ == "__main__":
    outcome = explore_unit(Unit.from_json(json.load(sys.stdin)))
    sys.stdout.write(json.dumps(outcome.to_json()))
