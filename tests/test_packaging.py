"""What people get who install a release instead of a checkout."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
NOT_OURS = shutil.ignore_patterns(
    ".git",
    ".venv",
    ".*_cache",
    ".hypothesis",
    ".coverage*",
    "var",
    "build",
    "dist",
    "*.egg-info",
    "__pycache__",
)
BUILD = """
import sys
from setuptools import build_meta
where = sys.argv[1]  # the building changes sys.argv
build_meta.build_sdist(where)
build_meta.build_wheel(where)
"""


def test_releases_are_complete(tmp_path):
    """The wheel has plugin, default configuration and types; the source release also all that make needs."""
    shutil.copytree(ROOT, tmp_path / "tree", ignore=NOT_OURS)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(tmp_path)],
        cwd=tmp_path / "tree",
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        installed = set(wheel.namelist())
    assert {"jobctl/py.typed", "jobctl/config/default.toml", "twisted/plugins/jobctl_plugin.py"} <= installed
    assert {f"channels/{path.name}" for path in (ROOT / "channels").glob("*.py")} <= installed
    assert not {name for name in installed if name.startswith(("tests/", "bench/", "twisted/__init__"))}
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    wanted = {
        "Makefile",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        ".ci/run",
        "pyproject.toml",
    }
    for folder in ("docs", "tests", "bench"):
        wanted |= {
            str(path.relative_to(ROOT))
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
    assert wanted <= names, wanted - names
