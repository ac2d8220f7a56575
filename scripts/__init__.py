"""What the Makefile calls for more than one line. Not shipped."""
