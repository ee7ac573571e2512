"""Certificates as openssl makes them, for tests that serve TLS on this computer: small keys, because they are cheap."""

import subprocess
from pathlib import Path


def certified(folder: Path, *, days: int, alternative: str = "IP:127.0.0.1") -> tuple[Path, Path]:
    """A server's certificate and its key, good for so many days (below 0: run out); `ca.crt` beside them signed it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "ca.crt").exists():
        _openssl("req", "-x509", "-days", "30", *_new(folder, "ca"), "-out", str(folder / "ca.crt"))
    request, names = folder / "server.csr", folder / "server.ext"
    names.write_text(f"subjectAltName={alternative}")
    _openssl("req", "-new", *_new(folder, "server"), "-out", str(request))
    signing = ("-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key"), "-CAcreateserial", "-days", str(days))
    made = ("-extfile", str(names), "-out", str(folder / "server.crt"))
    _openssl("x509", "-req", "-in", str(request), *signing, *made)
    return folder / "server.crt", folder / "server.key"


def _new(folder: Path, name: str) -> tuple[str, ...]:
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    return (*kind, "-subj", f"/CN={name}", "-keyout", str(folder / f"{name}.key"))


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
