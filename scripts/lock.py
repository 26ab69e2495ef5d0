"""Write requirements/*.txt from uv.lock, for machines without uv. Run after every `uv lock`; needs uv.

python3 scripts/lock.py           writes the files
python3 scripts/lock.py --check   says which differ (exit code 1)
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADER = "# From uv.lock by scripts/lock.py; do not edit.\n"
EXPORTS = {
    "runtime": ["--no-dev"],
    "dev": ["--group", "dev"],
    "ib_async": ["--no-dev", "--extra", "ib_async"],
    "keyring": ["--no-dev", "--extra", "keyring"],
}
#: Extras that go beside the runtime: their files hold only what the runtime has not.
BESIDE = ("ib_async", "keyring")


def export(arguments: list[str]) -> list[str]:
    """Return the requirement blocks (name, pin, marker, hashes) of one selection of the lock."""
    plain = ["--no-emit-project", "--no-annotate", "--no-header", "--format", "requirements-txt"]
    command = ["uv", "export", "--frozen", "--quiet", *plain, *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    blocks: list[str] = []
    for line in done.stdout.splitlines():
        if line.startswith(" "):
            blocks[-1] += f"{line}\n"
        else:
            blocks.append(f"{line}\n")
    return blocks


def files() -> dict[str, str]:
    """Return the text of each requirements file; an extra's holds only what the runtime has not."""
    blocks = {name: export(arguments) for name, arguments in EXPORTS.items()}
    for extra in BESIDE:
        blocks[extra] = [block for block in blocks[extra] if block not in blocks["runtime"]]
    return {name: HEADER + "".join(found) for name, found in blocks.items()}


def main(argv: list[str]) -> int:
    """Write or check the files."""
    stale = 0
    for name, text in files().items():
        path = ROOT / "requirements" / f"{name}.txt"
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale = 1
        if "--check" in argv:
            print(f"{path.name} differs from uv.lock; run python3 scripts/lock.py")
        else:
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"{path.name} written")
    return stale if "--check" in argv else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
