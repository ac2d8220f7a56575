"""DAGs to start from, which also are the system tests; ``dags/`` of the repository leads here."""
