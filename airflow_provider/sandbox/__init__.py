"""A runnable stand-in for the four release systems. Only the fixtures in testing.py import from the provider."""
