"""Structures side by side, as tables for people and machines."""
