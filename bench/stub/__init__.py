"""A vendor that costs next to nothing to ask: one process, TLS, every answer encoded beforehand.

What it answers is in vendors.py, how it is reached in server.py, how a measurement drives it in control.py.
"""
