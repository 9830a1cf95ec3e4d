"""Modules that are part of the guest too: they run on both sides of the sandbox."""
