# What a type checker sees as `workers.formdata`; at run time the finder gives the same module.
from emulator.web.form_data import *  # noqa: F403  # All of them, whatever they are.
