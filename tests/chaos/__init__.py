"""``make chaos``: releases under way in real Airflow while its processes are killed and people interfere."""
