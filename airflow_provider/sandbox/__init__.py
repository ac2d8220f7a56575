"""A runnable stand-in for the four release systems; it imports nothing from the rest of the provider."""
