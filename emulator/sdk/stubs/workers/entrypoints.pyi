# What a type checker sees as `workers.entrypoints`; at run time the same module.
from emulator.sdk.workers.entrypoints import *  # noqa: F403  # All of them, whatever they are.
