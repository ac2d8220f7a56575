"""Pure decisions: what to do next, from the record, from what Airflow and the vendor report, and from the time.

Nothing here knows Airflow, I/O, threads or a clock: the operators, the sensors and the trigger carry the decisions out,
and so does the simulator in tests/simulation.
"""
