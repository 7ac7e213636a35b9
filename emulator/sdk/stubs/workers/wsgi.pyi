# What a type checker sees as `workers.wsgi`; at run time the finder gives the same module.
from emulator.sdk.workers.wsgi import *  # noqa: F403  # All of them, whatever they are.
