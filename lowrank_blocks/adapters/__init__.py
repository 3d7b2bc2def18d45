"""Adapters out and in: PEFT directories from approximations, and factors from PEFT directories."""
