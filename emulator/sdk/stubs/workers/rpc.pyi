# What a type checker sees as `workers.rpc`; at run time the finder gives the same module.
from emulator.sdk.workers.rpc import *  # noqa: F403  # All of them, whatever they are.
