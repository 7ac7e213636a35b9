"""Counts: whole numbers as the commands take them.

Promises: what is no count is refused in argparse's way, with what it was. Leaves to others:
which count an option means.
"""

from __future__ import annotations

import argparse

__all__ = ["positive_count", "whole_count"]


def whole_count(text: str) -> int:
    """A whole number from 0 on."""
    number = int(text) if text.isascii() and text.isdigit() else -1
    if number < 0:
        message = f"must be a whole number, 0 or more, not {text!r}"
        raise argparse.ArgumentTypeError(message)
    return number


def positive_count(text: str) -> int:
    """A whole number from 1 on."""
    number = whole_count(text)
    if number == 0:
        message = "must be a whole number, 1 or more, not '0'"
        raise argparse.ArgumentTypeError(message)
    return number
