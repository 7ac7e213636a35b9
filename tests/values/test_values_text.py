"""What becomes of a string that UTF-8 cannot hold."""

from __future__ import annotations

from emulator.values.text import well_formed


def test_half_a_surrogate_pair_becomes_three_replacement_characters() -> None:
    assert well_formed("a\ud800b") == "a\ufffd\ufffd\ufffdb"
    assert well_formed("\ud83d\ude00") == "😀"
    assert well_formed("é") == "é"
