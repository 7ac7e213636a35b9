# What a type checker sees as `workers.workflows`; at run time the finder gives the same module.
from emulator.sdk.workers.workflows import *  # noqa: F403  # All of them, whatever they are.
