"""``python -m airflow_provider.sandbox``: runs the sandbox until it is interrupted."""

from __future__ import annotations

import argparse

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.app import create_app, serve


def main() -> None:
    """Parses the arguments, prints the base URLs and logins, serves."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider.sandbox", description="Stand-ins for four release systems"
    )
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times faster than nominal executions run")
    arguments = parser.parse_args()
    if arguments.speed <= 0:
        parser.error("--speed must be above 0")
    url = f"http://{arguments.host}:{arguments.port}"
    print(f"sandbox: {url}  control: {url}/_sandbox  speed: {arguments.speed:g}", flush=True)
    for system, lines in seed.logins(url).items():
        print(f"{system}\n  " + "\n  ".join(lines), flush=True)
    serve(create_app(arguments.speed), host=arguments.host, port=arguments.port).run()


if __name__ == "__main__":
    main()
