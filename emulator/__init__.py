"""Amber emulator."""
