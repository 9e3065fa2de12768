"""
``python -m fuzz TARGET [SECONDS]`` fuzzes one parser, or ``all`` of them, with atheris; what was found is kept in
``fuzz/corpus``, smallest first, at most 40 files a target.

atheris is for development only: ``pip install atheris``.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
MOST = 40


def fuzz(name: str, seconds: int, folder: str) -> None:
    """Never returns: atheris ends the process."""
    import atheris  # type: ignore[import-not-found,unused-ignore]

    with atheris.instrument_imports(include=["jobctl", "tomllib"]):
        from fuzz.targets import TARGETS

    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        "-max_len=3000",
        "-timeout=10",
        "-rss_limit_mb=2048",
    ]
    atheris.Setup([*arguments, f"-artifact_prefix={folder}/crash-", folder], TARGETS[name])
    atheris.Fuzz()


def campaign(name: str, seconds: int) -> bool:
    """Fuzz in a process of its own and keep the best of the corpus; whether no promise was broken."""
    from fuzz.seeds import SEEDS

    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for octets in (*SEEDS[name], *(path.read_bytes() for path in kept.iterdir())):
            (Path(folder) / _name(octets)).write_bytes(octets)
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "fuzz", "--here", name, str(seconds), folder],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        took = time.monotonic() - begun
        runs = [line for line in done.stderr.splitlines() if line.startswith("Done ")]
        found = sorted(Path(folder).iterdir(), key=lambda path: path.stat().st_size)
        crashes = [path for path in found if path.name.startswith("crash-")]
        print(f"{name}: {took:.0f} s, {len(found)} inputs; {runs[-1][:100] if runs else ''}", flush=True)
        for path in found[:MOST]:
            if not path.name.startswith("crash-"):
                octets = path.read_bytes()
                (kept / _name(octets)).write_bytes(octets)
        for path in crashes:
            octets = path.read_bytes()
            print(f"  BROKEN by {octets[:300]!r}\n{done.stdout[-1500:]}\n{done.stderr[-2500:]}", flush=True)
    for path in sorted(kept.iterdir(), key=lambda path: path.stat().st_size)[MOST:]:
        path.unlink()
    return not crashes and done.returncode == 0


def _name(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()[:16]


def main(words: list[str]) -> int:
    """The command."""
    if words[:1] == ["--here"]:
        fuzz(words[1], int(words[2]), words[3])
        return 0
    from fuzz.seeds import SEEDS

    if not words or words[0] not in (*SEEDS, "all"):
        print(f"usage: python -m fuzz TARGET|all [SECONDS]; targets: {' '.join(SEEDS)}", file=sys.stderr)
        return 64
    seconds = int(words[1]) if len(words) > 1 else 600
    names = list(SEEDS) if words[0] == "all" else [words[0]]
    return 0 if all(campaign(name, seconds) for name in names) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
