"""The four HTTP APIs in plain Python. Nothing here imports Airflow."""
