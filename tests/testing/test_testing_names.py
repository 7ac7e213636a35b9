"""The names of `emulator.testing`."""

from __future__ import annotations

import subprocess
import sys

import pytest

import emulator.testing


@pytest.mark.parametrize("name", emulator.testing.__all__)
def test_every_public_name_can_be_imported_and_has_words(name):
    assert getattr(emulator.testing, name).__doc__


def test_a_name_that_is_not_there_is_refused_as_by_any_module():
    with pytest.raises(AttributeError, match=r"'emulator\.testing' has no attribute 'spy'"):
        _ = emulator.testing.spy


def test_the_verbs_are_loaded_when_they_are_first_used():
    script = (
        "import sys, emulator.testing\n"
        "rooms = {n for n in sys.modules if n.startswith('emulator.')}\n"
        "assert not any(room.startswith('emulator.testing.') for room in rooms), rooms\n"
        "assert not set(dir(emulator.testing)) & set(emulator.testing.__all__)\n"
        "from emulator.testing import fork\n"
        "assert fork.__module__ == 'emulator.testing.snapshots'\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
