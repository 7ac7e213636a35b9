# What a type checker sees as `workers.types`; at run time the finder gives the same module.
from emulator.sdk.workers.types import *  # noqa: F403  # All of them, whatever they are.
