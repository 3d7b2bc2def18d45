"""Which blocks of a matrix are stored: geometry only."""
