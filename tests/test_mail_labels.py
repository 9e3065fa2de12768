"""What people call a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.mail.labels import MOST, labels, sensitivity


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"Subject: s\r\nMessage-ID: <1@a>\r\n\r\nSubject: no\r\n", ("<1@a>", "s")),
        (b"Received: x\r\nMESSAGE-id:<1@a> \r\nsubject:  two  words\r\n", ("<1@a>", "two words")),
        (b"Subject: long\r\n\tfolded\r\n more\r\nTo: x\r\n\r\n", ("", "long folded more")),
        (b"Message-ID:\r\n <1@a>\r\n\r\n", ("<1@a>", "")),
        (b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= =?iso-8859-1?q?_=E9?=\r\n\r\n", ("", "Grüße é")),
        (b"Subject: =?nosuch?q?x?=\r\n\r\n", ("", "=?nosuch?q?x?=")),
        (b"Subject: \xff\xfe\r\n\r\n", ("", "\ufffd\ufffd")),
        (b"X-Subject: no\r\n\r\nMessage-ID: <no>\r\n", ("", "")),
        (b"", ("", "")),
        (b"no header at all", ("", "")),
    ],
)
def test_labels(content, expected):
    """The fields of the header, unfolded and decoded; nothing of the body."""
    assert labels(content) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"Subject: s\r\nSensitivity: Company-Confidential\r\n\r\n", "company-confidential"),
        (b"SENSITIVITY:\r\n private\r\n\r\n", "private"),
        (b"Sensitivity: very\r\n\r\n", ""),
        (b"Subject: s\r\n\r\nSensitivity: personal\r\n", ""),
    ],
)
def test_sensitivity(content, expected):
    """One of the three that there are, from the header alone."""
    assert sensitivity(content) == expected


@given(
    st.lists(st.sampled_from([b"Subject:", b"\r\n", b" ", b"=?utf-8?b?", b"?=", b"\x00", b"\n", b"a" * 300]))
)
def test_anything_can_be_read(parts):
    """Whatever a sender wrote, two short lines come out of it."""
    for value in labels(b"".join(parts)):
        assert len(value) <= MOST
        assert "\n" not in value and "\r" not in value
