"""A time-stamp authority: OpenSSL's `ts -reply` behind a small HTTP server, with certificates made for the session.

Place in the line: tests of the root log's time stamps. Contract: RFC 3161 as OpenSSL does it; `verify` is OpenSSL's own
verifier, a second opinion on what we took.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from deploy.stack.ports import free_port

_CONFIG = """
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[stamping]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ess_cert_id_alg = sha256
"""


@dataclass
class TimestampAuthority:
    """`away`: it answers 503. `signer`: by which certificate, `tsa` or `stranger`."""

    folder: Path
    url: str
    away: bool = False
    asked: int = 0
    signer: str = "tsa"

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    def reply(self, query: bytes) -> bytes:
        self.asked += 1
        path = self.folder / f"{self.asked}.tsq"
        path.write_bytes(query)
        out = path.with_suffix(".tsr")
        further = (
            "-signer",
            str(self.folder / f"{self.signer}.pem"),
            "-inkey",
            str(self.folder / f"{self.signer}.key"),
        )
        self._openssl(
            "ts", "-reply", "-queryfile", str(path), "-chain", str(self.root), *further, "-out", str(out)
        )
        return out.read_bytes()

    def verify(self, token: Path, text: str) -> str:
        """What OpenSSL says of the token over `text`: it ends with `Verification: OK`, or CalledProcessError."""
        data = self.folder / "text"
        data.write_text(text)
        return self._openssl(
            "ts", "-verify", "-data", str(data), "-in", str(token), "-CAfile", str(self.root)
        )

    def make(self) -> None:
        (self.folder / "openssl.cnf").write_text(_CONFIG.format(folder=self.folder))
        (self.folder / "serial").write_text("01\n")
        self._certificate("root", "/CN=Test root", "root", None)
        self._certificate("tsa", "/O=Test authority/CN=Time stamps", "stamping", "root")
        self._certificate("stranger_root", "/CN=Another root", "root", None)
        self._certificate("stranger", "/CN=No authority of ours", "stamping", "stranger_root")

    def _certificate(self, name: str, subject: str, extensions: str, issuer: str | None) -> None:
        key, out = str(self.folder / f"{name}.key"), str(self.folder / f"{name}.pem")
        signed = (
            ("-CA", str(self.folder / f"{issuer}.pem"), "-CAkey", str(self.folder / f"{issuer}.key"))
            if issuer
            else ()
        )
        kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key)
        self._openssl(
            "req",
            "-x509",
            *kind,
            "-subj",
            subject,
            "-days",
            "2",
            "-extensions",
            extensions,
            *signed,
            "-out",
            out,
        )

    def _openssl(self, command: str, *arguments: str) -> str:
        further = () if "-verify" in arguments else ("-config", str(self.folder / "openssl.cnf"))
        run = subprocess.run(
            ["openssl", command, *arguments, *further], capture_output=True, text=True, timeout=30, check=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return run.stdout + run.stderr


@contextmanager
def timestamp_authority(folder: Path) -> Iterator[TimestampAuthority]:
    folder.mkdir()
    port = free_port()
    authority = TimestampAuthority(folder, f"http://127.0.0.1:{port}/tsr")
    authority.make()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            if authority.away or self.headers["Content-Type"] != "application/timestamp-query":
                self.send_error(503)
                return
            answer = authority.reply(query)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield authority
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
