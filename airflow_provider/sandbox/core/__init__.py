"""What the four stand-ins share: clock, journal, faults, outbox, the edge before and the world around them."""
