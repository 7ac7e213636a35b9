# What a type checker sees as `workers.blob`; at run time the finder gives the same module.
from emulator.web.blob import *  # noqa: F403  # All of them, whatever they are.
