"""``python -m airflow_provider.sandbox``: runs the sandbox until it is interrupted."""

from __future__ import annotations

import argparse
import contextlib
import errno
import socket
import sys
from collections.abc import Iterator

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.app import create_app, listen, serve
from airflow_provider.sandbox.core.edge import Edge

LAST_PORT = 65535


def main() -> None:
    """Prints the connections and the contents of the sandbox, and serves."""
    parser = _parser()
    arguments = parser.parse_args()
    if arguments.speed <= 0:
        parser.error(f"--speed must be above 0, got {arguments.speed:g}")
    if not 0 <= arguments.port <= LAST_PORT:
        parser.error(f"--port must be from 0 to {LAST_PORT}, got {arguments.port}")
    try:
        listener = listen(arguments.host, arguments.port)
    except OSError as error:
        sys.exit(_refusal(arguments.host, arguments.port, error))
    app = create_app(arguments.speed)
    print(*_banner(app, _url(arguments.host, listener), arguments.speed), sep="\n", flush=True)
    # Uvicorn has shut down by the time it raises this.
    with contextlib.suppress(KeyboardInterrupt):
        serve(app).run(sockets=[listener])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider.sandbox",
        description="Stand-ins for Code Stream, ServiceStage, Cocktail Cloud and Quay, with logins, state machines, "
        "callbacks and webhooks, for trying out DAGs. Prints Airflow connections to them. Keeps nothing after it ends.",
        epilog="Stop it with Ctrl-C. Open http://127.0.0.1:8900/_sandbox for a list of all executions.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=8900, help="TCP port to listen on; 0 for any free one")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; the logins are public, so bind only to networks you trust",
    )
    parser.add_argument(
        "--speed",
        type=float,
        default=1.0,
        help="how many times faster than their nominal pace (up to a minute) executions run",
    )
    return parser


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"address in use: {host}:{port}. Is another sandbox running? Use another port, such as --port {port + 1}"
    return f"cannot listen on {host}:{port}: {error.strerror or error}"


def _url(host: str, listener: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


def _banner(app: Edge, url: str, speed: float) -> Iterator[str]:
    yield f"sandbox: {url}  pages and control: {url}/_sandbox  speed: {speed:g}"
    yield "\nCopy these lines into the shell that runs Airflow:\n"
    for name, value in seed.environment(url).items():
        yield f"export {name}='{value}'"
    for system, logins in seed.logins(url).items():
        yield f"\n{system}"
        yield from (f"  {line}" for line in [*logins, *app.world.systems[system].contents()])


if __name__ == "__main__":
    main()
