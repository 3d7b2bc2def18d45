"""How much may be stored, and how it is spent over the blocks."""
