"""What shows inside Airflow's own processes."""
