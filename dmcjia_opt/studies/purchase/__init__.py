"""What to buy: the capacity with which deadlines are kept, or a mean delay is reached, at least cost."""
