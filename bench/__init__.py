"""What waiting costs: ours beside the dbt Cloud, Databricks and HTTP providers, measured in one run. Not shipped."""
