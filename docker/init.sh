#!/usr/bin/env bash
# Runs once before Airflow's components: makes the keys that they share, the database and the connections to the sandbox.
set -euo pipefail

keys="$AIRFLOW_HOME/keys"

make_key() { # name, Python that prints a new one
    [[ -s "$keys/$1" ]] || (umask 077 && python -c "$2" > "$keys/$1")
}

make_key fernet 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'
make_key api 'import secrets; print(secrets.token_urlsafe(64))'
make_key jwt 'import secrets; print(secrets.token_urlsafe(64))'

airflow db migrate
airflow connections import --overwrite "$AIRFLOW_HOME/connections.json"
