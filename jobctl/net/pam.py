"""Passwords by PAM. A call takes as long as the modules of the PAM service take: call it in a thread."""

from typing import Any

from jobctl.sasl.verifier import NO, Verdict, unknown

# Results that are about the user or the password (Linux-PAM, _pam_types.h): PAM_PERM_DENIED, PAM_AUTH_ERR,
# PAM_USER_UNKNOWN, PAM_MAXTRIES, PAM_NEW_AUTHTOK_REQD, PAM_ACCT_EXPIRED, PAM_CRED_EXPIRED, PAM_AUTHTOK_EXPIRED.
# Every other is trouble of the system: PAM_AUTHINFO_UNAVAIL, PAM_SYSTEM_ERR ...
_NO = frozenset({6, 7, 10, 11, 12, 13, 16, 27})


def load_library() -> Any:
    """
    The module ``pamela``.

    :raises ValueError: It, or libpam, is not there; the text says what to do.
    """
    try:
        # Late: it loads libpam, and few use it.
        import pamela
    except (ImportError, OSError, AttributeError):
        raise ValueError(
            "pam_service needs libpam and the package pamela: pip install 'jobctl[pam]'"
        ) from None
    return pamela


def ask_pam(service: str, user: str, password: str) -> Verdict:
    """Whether PAM lets a user in: authentication and account management; no session is opened."""
    pamela = load_library()
    try:
        pamela.authenticate(user, password, service, resetcred=0)
    except pamela.PAMError as why:
        return NO if why.errno in _NO else unknown(f"PAM: {why.message}")
    return Verdict(True, user)
