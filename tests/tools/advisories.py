"""pip-audit where no database can be reached: asks a copy of one.

    git clone --depth 1 https://github.com/pypa/advisory-database
    python tests/tools/advisories.py advisory-database [lowest|REQUIREMENTS]

A copy is a clone of the PyPI advisory database, or of Safety DB (github.com/pyupio/safety-db),
which names ranges of versions only. Answers pip-audit's questions
(https://ossf.github.io/osv-schema) from it, on loopback; what comes out holds for the day of its
last commit, which is printed. Looked at is what is installed here, this package aside; the lowest
versions of everything that setup.cfg names; or a file of pinned requirements. Exit code 1 where
anything is known.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import yaml
from bounds import declared
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version


def advisories(copy: Path) -> dict[str, list[dict]]:
    """By canonical name of the package."""
    found: dict[str, list[dict]] = {}
    for entry in (*_pypa(copy), *_safety(copy)):
        for name in {canonicalize_name(a["package"]["name"]) for a in entry.get("affected", ())}:
            found.setdefault(name, []).append(entry)
    return found


def _pypa(copy: Path) -> Iterator[dict]:
    for path in sorted(copy.glob("vulns/*/*.yaml")):
        yield yaml.load(path.read_text(encoding="utf-8"), yaml.CBaseLoader)


def _safety(copy: Path) -> Iterator[dict]:
    for path in copy.glob("data/insecure.json"):
        for name, ranges in json.loads(path.read_text(encoding="utf-8")).items():
            for k, spec in enumerate(ranges if not name.startswith("$") else ()):
                package = {"name": name, "ecosystem": "PyPI"}
                yield {"id": f"SAFETY-{name}-{k}", "details": spec,
                       "affected": [{"package": package, "spec": spec}]}  # fmt: skip


def affects(entry: dict, name: str, version: Version) -> bool:
    """Whether ``version`` is listed, or within a range of versions."""
    return any(
        ("spec" in affected and SpecifierSet(affected["spec"]).contains(version, prereleases=True))
        or str(version) in affected.get("versions", ())
        or any(_within(r["events"], version) for r in affected.get("ranges", ())
               if r["type"] == "ECOSYSTEM")
        for affected in entry["affected"]
        if canonicalize_name(affected["package"]["name"]) == name
    )  # fmt: skip


def _within(events: list[dict], version: Version) -> bool:
    """Events say, in rising order, where a range begins and where it ends."""
    inside = False
    for event in events:
        kind, at = next(iter(event.items()))
        if kind == "introduced":
            inside = inside or version >= Version(at)
        elif (kind == "fixed" and version >= Version(at)) or (
            kind == "last_affected" and version > Version(at)
        ):
            inside = False
    return inside


def server(known: dict[str, list[dict]]) -> HTTPServer:
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = canonicalize_name(asked["package"]["name"])
            version = Version(asked["version"])
            hits = [e for e in known.get(name, ()) if affects(e, name, version)]
            body = json.dumps({"vulns": hits} if hits else {}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    return HTTPServer(("127.0.0.1", 0), Answer)


def installed() -> str:
    words = [sys.executable, "-m", "pip", "list", "--format=freeze", "--exclude-editable"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def lowest() -> str:
    """Of everything that setup.cfg names, extras too; what is required counts where both name one."""
    bounds = dict(line.split(">=") for line in declared(extras=True))
    return "".join(f"{name}=={version}\n" for name, version in bounds.items())


def pinned(requirements: str | None) -> str:
    if requirements is None:
        return installed()
    return lowest() if requirements == "lowest" else Path(requirements).read_text()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("copy", type=Path, help="folder of the database, with its history")
    parser.add_argument("requirements", nargs="?", metavar="lowest|REQUIREMENTS")
    given = parser.parse_args()
    known = advisories(given.copy)
    if not known:
        parser.error(f"{given.copy} holds neither vulns/*/*.yaml nor data/insecure.json; name a clone of "
                     "pypa/advisory-database or of pyupio/safety-db.")  # fmt: skip
    day = subprocess.run(["git", "-C", given.copy, "log", "-1", "--format=%cs"], check=True,
                         capture_output=True, text=True).stdout.strip()  # fmt: skip
    count = len({entry["id"] for entries in known.values() for entry in entries})
    print(f"{count:,} advisories, {len(known):,} packages, as of {day}", flush=True)
    asked = server(known)
    threading.Thread(target=asked.serve_forever, daemon=True).start()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(pinned(given.requirements))
        file.flush()
        words = ["pip_audit", "--strict", "--no-deps", "--disable-pip", "--progress-spinner", "off",
                 "-s", "osv", "--osv-url", f"http://127.0.0.1:{asked.server_port}", "-r", file.name]  # fmt: skip
        return subprocess.run([sys.executable, "-m", *words]).returncode


if __name__ == "__main__":
    sys.exit(main())
