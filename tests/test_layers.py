"""The rule of who may import whom (ARCHITECTURE.md), kept by reading every module."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Each layer may import those before it, and its own packages where that makes no circle.
LAYERS = (
    ("mail", "sasl"),
    (
        "smtp",
        "jobprotocol",
        "selection",
        "mapping",
        "config",
        "notification",
        "routing",
        "schedule",
        "accounts",
        "explaining",
        "mime",
    ),
    ("store", "jobs", "net", "control"),
    ("controller",),
    ("commands", "service"),
)
# Single modules at the top of the package: part of the uppermost layer.
TOP = ("welcome",)
FOR_ALL = ("errors", "interfaces")
FOR_CHANNELS = ("mail", "sasl", "smtp", "mime", "mapping", "jobprotocol", "net", "config", *FOR_ALL)
# Programs started by hand speak to the controller over its socket.
FOR_KIT = (*FOR_CHANNELS, "control")

PURE = (*LAYERS[0], *LAYERS[1], "errors")
# Effects: reactors, clocks, files, sockets, processes, chance.
IMPURE = (
    *(
        "twisted",
        "zope",
        "time",
        "datetime",
        "os",
        "io",
        "sys",
        "pathlib",
        "shutil",
        "tempfile",
        "glob",
        "sqlite3",
    ),
    *(
        "socket",
        "ssl",
        "select",
        "selectors",
        "subprocess",
        "signal",
        "threading",
        "multiprocessing",
        "asyncio",
    ),
)
# Of the module time, what turns a moment that was given into words reads no clock.
CALENDAR = {"localtime", "gmtime", "strftime", "mktime", "struct_time"}
# What the rule allows in so many words.
ALLOWED = {
    "jobctl/config/loader.py": {"os"},  # reads the configuration
}


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, inside functions too; relative ones made absolute."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(part for part in (base, node.module) if part)
            yield from ((node.lineno, f"{name}.{alias.name}") for alias in node.names)


def part_of(path: Path) -> str:
    """``mail`` for ``jobctl/mail/address.py``, ``errors`` for ``jobctl/errors.py``."""
    return path.relative_to(ROOT).with_suffix("").parts[1]


def level(part: str) -> int | None:
    if part in TOP:
        return len(LAYERS) - 1
    return next((number for number, layer in enumerate(LAYERS) if part in layer), None)


def violations(path: Path) -> list[str]:
    """Every import of a module of ours against the rule."""
    inside = path.relative_to(ROOT).parts[0]
    found = []
    for line, name in imported(path):
        top, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        where = f"{path.relative_to(ROOT)}:{line}: {name}"
        if inside == "jobctl" and top == "channels":
            found.append(f"{where}: jobctl knows programs by command and frames, never by import")
        elif inside == "channels" and top == "jobctl" and target not in (*FOR_KIT, "", "__version__"):
            found.append(f"{where}: channel programs use only {', '.join(FOR_KIT)}")
        elif inside == "jobctl" and top == "jobctl" and not _may(part_of(path), target):
            found.append(f"{where}: {part_of(path)} is below {target}")
        if inside == "jobctl" and part_of(path) in PURE and top in IMPURE:
            allowed = ALLOWED.get(str(path.relative_to(ROOT)), set())
            if top not in allowed and not (name == "time" and _calendar_only(path)):
                found.append(f"{where}: {part_of(path)} is pure: no reactor, clock, file or socket")
    if inside == "jobctl" and part_of(path) in PURE and str(path.relative_to(ROOT)) not in ALLOWED:
        found += [f"{path.relative_to(ROOT)}:{line}: open: {part_of(path)} is pure" for line in _opens(path)]
    return found


def _opens(path: Path) -> list[int]:
    """Lines that call the built-in ``open``."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open"
    ]


def _calendar_only(path: Path) -> bool:
    used = {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time"
    }
    return used <= CALENDAR


def _may(part: str, target: str) -> bool:
    if target in ("", "__version__", part) or target in FOR_ALL:
        return True
    mine, other = level(part), level(target)
    return mine is not None and other is not None and other <= mine


@pytest.mark.parametrize("path", modules("jobctl", "channels"), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    """Whoever changes the transport or the store finds the rules of mail untouched by it."""
    if path.relative_to(ROOT).parts[0] == "jobctl" and path.parent != ROOT / "jobctl":
        assert level(part_of(path)) is not None, f"{part_of(path)} stands in no layer: add it to LAYERS"
    assert violations(path) == []


def test_packages_of_a_layer_make_no_circle() -> None:
    """Packages of one layer can be read one after the other: none needs another that needs it."""
    needs: dict[str, set[str]] = {part: set() for layer in LAYERS for part in layer}
    for path in modules("jobctl"):
        for _, name in imported(path):
            top, _, rest = name.partition(".")
            target = rest.partition(".")[0]
            if top == "jobctl" and part_of(path) in needs and target in needs and target != part_of(path):
                needs[part_of(path)].add(target)
    ordered: set[str] = set()
    while ready := [part for part, wanted in needs.items() if part not in ordered and wanted <= ordered]:
        ordered.update(ready)
    assert {part: wanted - ordered for part, wanted in needs.items() if part not in ordered} == {}


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("jobctl/mail/x.py", "from jobctl.smtp import server"),
        ("jobctl/mail/x.py", "import twisted.internet.defer"),
        ("jobctl/config/x.py", "import time\nnow = time.time()"),
        ("jobctl/config/x.py", "open('x')"),
        ("jobctl/config/x.py", "def f():\n    from ..controller import intake"),
        ("jobctl/schedule/x.py", "from time import time"),
        ("jobctl/store/x.py", "import jobctl.commands.main"),
        ("jobctl/jobs/x.py", "from channels import kit"),
        ("channels/x.py", "from jobctl.controller.intake import Intake"),
    ],
)
def test_the_rule_can_fail(place: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import against the rule is found, wherever in a module it hides."""
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert len(violations(path)) == 1
