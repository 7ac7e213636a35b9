# What a type checker sees as `js`; at run time the finder gives the same module.
from emulator.sdk.js import *  # noqa: F403  # All of them, whatever they are.
