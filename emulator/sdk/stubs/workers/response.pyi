# What a type checker sees as `workers.response`; at run time the finder gives the same module.
from emulator.web.response import *  # noqa: F403  # All of them, whatever they are.
