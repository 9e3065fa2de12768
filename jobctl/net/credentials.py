"""Who we are at a next hop: ``auth_username`` and the file with the password."""

from jobctl.config.settings import ChannelSettings
from jobctl.sasl.client import Credentials

# A password is one line; whatever else was named by mistake is not to be sent anywhere.
_LONGEST = 16 * 1024


def read_credentials(channel: ChannelSettings) -> Credentials | None:
    """
    ``None``: we authenticate to nobody there.

    :raises ValueError: The file cannot be read, or is empty; the text is for the operator.
    """
    path = channel.auth_password_file
    if channel.auth_username is None or path is None or channel.sasl_client == "none":
        return None
    try:
        with open(path, encoding="utf-8") as file:
            secret = file.read(_LONGEST).split("\n")[0].strip("\r")
    except (OSError, UnicodeDecodeError) as why:
        raise ValueError(f"auth_password_file {path}: {getattr(why, 'strerror', None) or why}") from None
    if not secret:
        raise ValueError(f"auth_password_file {path}: its first line is empty")
    mechanism = channel.auth_mechanism
    return Credentials(channel.auth_username, secret, mechanism if mechanism == "auto" else mechanism.upper())
