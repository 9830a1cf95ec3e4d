"""Hostile guest programs, and the end each must have."""
