from typing import Any

# What a type checker sees as `workers.asgi`; at run time the finder gives the same module.
from emulator.sdk.workers.asgi import *  # noqa: F403  # All of them, whatever they are.

env: Any
