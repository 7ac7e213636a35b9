# What a type checker sees as `workers.request`; at run time the finder gives the same module.
from emulator.web.request import *  # noqa: F403  # All of them, whatever they are.
