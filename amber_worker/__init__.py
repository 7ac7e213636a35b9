"""Amber worker."""
