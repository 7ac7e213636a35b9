# What a type checker sees as `workers.gateway`; at run time the finder gives the same module.
from emulator.sdk.workers.gateway import *  # noqa: F403  # All of them, whatever they are.
