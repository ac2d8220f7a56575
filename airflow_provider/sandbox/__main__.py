"""``python -m airflow_provider.sandbox``: runs the sandbox until it is interrupted."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import socket
import sys
from collections.abc import Iterator

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.app import create_app, listen, serve
from airflow_provider.sandbox.core.edge import Edge

LAST_PORT = 65535


def main() -> None:
    """Takes the address, prints what there is and how Airflow reaches it, serves."""
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.speed <= 0:
        parser.error("--speed must be above 0")
    if not 0 <= arguments.port <= LAST_PORT:
        parser.error(f"--port must be from 0 to {LAST_PORT}")
    try:
        listener = listen(arguments.host, arguments.port)
    except OSError as error:
        sys.exit(_refusal(arguments.host, arguments.port, error))
    app = create_app(arguments.speed)
    print(*_banner(app, _url(arguments.host, listener), arguments.speed), sep="\n", flush=True)
    # Uvicorn has shut down when it passes an interruption on.
    with contextlib.suppress(KeyboardInterrupt):
        serve(app).run(sockets=[listener])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider.sandbox",
        description="Stand-ins for Code Stream, ServiceStage, Cocktail Cloud and Quay, with logins, state machines, "
        "callbacks and webhooks, for trying DAGs out. Prints the Airflow connections that lead to them; keeps nothing "
        "when it ends.",
        epilog="Ctrl-C ends it. Its pages, and how to make calls fail: http://127.0.0.1:8900/_sandbox",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=8900, help="TCP port to listen on; 0 for any free one")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; the logins are no secret, so mind who can reach it"
    )
    parser.add_argument(
        "--speed", type=float, default=1.0, help="how many times faster than their nominal minute or so executions run"
    )
    return parser


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"address in use: {host}:{port}. Another sandbox? Choose another port, for example --port {port + 1}"
    return f"cannot listen on {host}:{port}: {error.strerror or error}"


def _url(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


def _banner(app: Edge, url: str, speed: float) -> Iterator[str]:
    yield f"sandbox: {url}  pages and control: {url}/_sandbox  speed: {speed:g}"
    yield "\nCopy these lines into the shell that runs Airflow:\n"
    for system, fields in seed.connections(url).items():
        yield f"export AIRFLOW_CONN_{system.upper()}_DEFAULT='{json.dumps(fields)}'"
    for system, logins in seed.logins(url).items():
        yield f"\n{system}"
        yield from (f"  {line}" for line in [*logins, *app.world.systems[system].offers()])


if __name__ == "__main__":
    main()
