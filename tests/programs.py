"""Make sure of the programs that tests use beside Python's: Debian's are installed where there are none and we may."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """A program that some tests use.

    Attributes:
        package: Debian's.
        names: What it is called, the likeliest first.
        variable: Environment variable that may name another.
    """

    package: str
    names: tuple[str, ...]
    variable: str

    def find(self) -> str | None:
        """Return its path: what the variable says, or the first name on the PATH or where Debian puts servers."""
        path = f"{os.environ.get('PATH', '')}:/usr/sbin"
        named = os.environ.get(self.variable)
        return named or next((found for name in self.names if (found := shutil.which(name, path=path))), None)


CHROMIUM = Program(
    "chromium", ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"), "LEPTON_CHROMIUM"
)
HAPROXY = Program("haproxy", ("haproxy",), "LEPTON_HAPROXY")


def main() -> int:
    """Install what is missing where this user may; say how to get it where not."""
    missing = [one for one in (CHROMIUM, HAPROXY) if one.find() is None]
    if missing and shutil.which("apt-get") and os.geteuid() == 0:
        packages = [one.package for one in missing]
        print(f"Installing {' and '.join(packages)} for the tests …", flush=True)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
        ):
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    for one in missing:
        if one.find() is None:
            print(
                f"The tests need {one.package}. Install it (Debian and Ubuntu: sudo apt-get install {one.package}), "
                f"or name one you have: {one.variable}=/path/to/{one.package} make test",
                file=sys.stderr,
            )
    return any(one.find() is None for one in missing)


if __name__ == "__main__":
    sys.exit(main())
