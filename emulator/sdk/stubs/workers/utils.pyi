# What a type checker sees as `workers.utils`; at run time the finder gives the same module.
from emulator.sdk.workers.utils import *  # noqa: F403  # All of them, whatever they are.
