"""Runs the stub on a free port of 127.0.0.1 until its input ends: ``python -m bench.stub <certificate.pem>``."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys

import uvloop

from bench.stub.control import listen_to_orders
from bench.stub.server import HttpProtocol, Site


async def main(certificate: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    site = Site()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HttpProtocol(site), "127.0.0.1", 0, ssl=tls, backlog=4096)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    async with server:
        await listen_to_orders(site)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
