"""An authority and a server certificate for 127.0.0.1, made for one run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import certifi
import trustme


@dataclass(frozen=True)
class Certificates:
    """:param server: key and certificate of the stub.
    :param bundle: the public authorities and ours: as large as what a user's client loads.
    """

    server: Path
    bundle: Path


def make_certificates(folder: Path) -> Certificates:
    authority = trustme.CA()
    paths = Certificates(folder / "server.pem", folder / "bundle.pem")
    paths.server.touch(mode=0o600)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(paths.server))
    paths.bundle.write_bytes(Path(certifi.where()).read_bytes() + b"\n")
    authority.cert_pem.write_to_path(str(paths.bundle), append=True)
    return paths
