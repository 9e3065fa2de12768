"""XCLIENT: a client speaks for another (Postfix's XCLIENT_README)."""

from collections.abc import Mapping

from jobctl.mail.reply import Reply
from jobctl.mail.transportinfo import TransportInfo, is_address

_NO_ADDRESS = Reply(501, "5.5.4 ADDR takes an address.")
_NO_CONNECTION = Reply(501, "5.5.4 PORT and DESTPORT take a port, DESTADDR takes an address.")


def impersonated(here: TransportInfo, said: Mapping[str, str]) -> TransportInfo | Reply:
    """
    The connection that the session is that of from now on, or what the client is told.

    :param here: That of the session so far; what is not said stays, but for the port.
    :param said: As :attr:`jobctl.smtp.questions.Proxied.attributes`.
    """
    address = said.get("ADDR", "").removeprefix("IPV6:")
    if address and not is_address(address):
        return _NO_ADDRESS
    told = here.of(
        address or here.remote_ip,
        said.get("PORT", ""),
        said.get("DESTADDR", "").removeprefix("IPV6:"),
        said.get("DESTPORT", ""),
    )
    # Log and probes get it as it stands, so it must not be able to break their fields.
    return told if TransportInfo.parse(told.text)[1] is None else _NO_CONNECTION
