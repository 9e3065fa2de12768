"""``jobctl passwd``: the users that may authenticate by AUTH."""

import contextlib
import os
import sys
import tempfile

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import write
from jobctl.commands.parser import Commands, command
from jobctl.errors import UsageError

_EXAMPLES = """\
  jobctl passwd /etc/jobctl/users ann            asks for the password twice
  jobctl passwd --delete /etc/jobctl/users ann
  pwgen 20 1 | jobctl passwd /etc/jobctl/users robot"""


def register(commands: Commands) -> None:
    """Make the command known."""
    parser = command(
        commands,
        "passwd",
        passwd,
        "set a user's password in a password file",
        _EXAMPLES,
        description="Add a user to the password file of a service (password_file), or change the password. "
        "Kept is what checks a password, never the password itself. Running servers see the change at once.",
    )
    parser.add_argument("file", metavar="FILE", help="the password file; made when it is not there")
    parser.add_argument("name", metavar="NAME", help="the user, as clients give it")
    parser.add_argument("--delete", action="store_true", help="take the user out")
    parser.add_argument(
        "--scheme",
        choices=("scram-sha-256", "scrypt"),
        default="scram-sha-256",
        help="scram-sha-256 serves every mechanism; scrypt is harder to guess, for PLAIN and LOGIN alone",
    )


def passwd(context: Context) -> int:
    """Change one line of the file, and nothing else of it."""
    from jobctl.sasl.password_file import with_user
    from jobctl.sasl.secrets import scram_keys, scram_line, scrypt_line

    args = context.args
    try:
        with open(args.file, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        if args.delete:
            raise
        text = ""
    try:
        with_user(text, args.name, None)
    except ValueError as why:
        raise UsageError(f"{why}: a name has no colon and no control characters", exits.DATA) from None
    if args.delete:
        changed = with_user(text, args.name, None)
        if changed == text:
            raise UsageError(f"there is no user {args.name} in {args.file}", exits.NO_INPUT)
    else:
        password = _ask(args.name)
        kept = scrypt_line(password) if args.scheme == "scrypt" else scram_line(scram_keys(password))
        changed = with_user(text, args.name, kept)
    _replace(args.file, changed)
    write(f"{args.name}: {'deleted' if args.delete else 'password set'}")
    return exits.OK


def _ask(name: str) -> str:
    """The password from the terminal, twice, or from standard input."""
    if not sys.stdin.isatty():
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        import getpass

        password = getpass.getpass(f"password of {name}: ")
        if getpass.getpass("once more: ") != password:
            raise UsageError("the two are not the same; nothing was changed", exits.DATA)
    if not password or "\0" in password:
        raise UsageError("an empty password cannot be used; nothing was changed", exits.DATA)
    return password


def _replace(path: str, text: str) -> None:
    """Readers see the old file or the new one, with the rights of the old; a new one is for its owner alone."""
    directory = os.path.dirname(os.path.abspath(path))
    descriptor, temporary = tempfile.mkstemp(prefix=".passwd-", dir=directory)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(path)
                os.fchmod(file.fileno(), status.st_mode & 0o777)
                with contextlib.suppress(PermissionError):
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
