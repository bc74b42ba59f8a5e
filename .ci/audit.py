"""Ask an advisory service about the releases in use: exit code 1 if it knows of a vulnerability in one of them.

What ``gainbench[dev]`` needs is asked about, in the versions installed here, whatever else is installed beside it.

Where the service cannot be reached nothing is known, which is said and is no failure: whether a tree is sound does not
depend on somebody else's server.
"""

import json
import re
import subprocess
import sys
import tempfile
import textwrap
from importlib import metadata
from pathlib import Path
from typing import Any

from lock import locked

SERVICE = "osv"
"""The Open Source Vulnerabilities database; it is asked about names and versions, nothing is downloaded."""

SECONDS = 120


def audit(*options: str) -> int:
    """Run pip-audit over this environment and say what it found."""
    with tempfile.TemporaryDirectory() as folder:
        report, listed = Path(folder) / "report.json", Path(folder) / "releases.txt"
        listed.write_text("".join(f"{line}\n" for line in in_use()), encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(listed), "--no-deps", "--disable-pip"]
        command += ["--vulnerability-service", SERVICE, "--timeout", "10", "--progress-spinner", "off"]
        command += ["--format", "json", "--output", str(report), *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)  # noqa: S603
            words = done.stderr.strip().splitlines()
        except subprocess.TimeoutExpired:
            words = [f"no answer within {SECONDS} s"]
        if not report.is_file() or not report.stat().st_size:
            reason = textwrap.shorten(words[-1], 120, placeholder=" ...") if words else "no reason given"
            sys.stdout.write(
                f"audit: the advisory service {SERVICE} could not be asked ({reason}); nothing is known about the "
                "releases in use. Run `make audit` where it can be reached.\n"
            )
            return 0
        return told(json.loads(report.read_text(encoding="utf-8")))


def in_use() -> list[str]:
    """The installed releases, each with its version, those that the lock file leaves open too."""
    names = (re.split(r"[<>=!~]", line)[0] for line in locked())
    return [f"{name}=={metadata.version(name)}" for name in names]


def told(report: dict[str, Any]) -> int:
    """Say what a report of pip-audit holds.

    Args:
        report: ``dependencies``, each with ``name`` and either ``version`` and ``vulns`` or ``skip_reason``.

    Returns:
        The exit code: 1 if there is a vulnerability.
    """
    asked = [entry for entry in report["dependencies"] if "skip_reason" not in entry]
    count = 0
    for entry in asked:
        for found in entry["vulns"]:
            count += 1
            mended = ", ".join(found["fix_versions"]) or "no release yet"
            sys.stdout.write(f"{entry['name']} {entry['version']}: {found['id']}, mended in {mended}\n")
    sys.stdout.write(f"audit: {len(asked)} releases, {count} known vulnerabilities\n")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(audit(*sys.argv[1:]))
