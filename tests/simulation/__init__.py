"""Deterministic simulation: the real core in virtual time, against a simulated Airflow, vendors and people.

``python -m tests.simulation`` tries many lives of a task, each drawn from one seed; see ``__main__.py``.
"""
