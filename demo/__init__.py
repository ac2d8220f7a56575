"""``make demo``: Airflow and the sandbox on this machine, and the release train shown while it runs. Not shipped."""
