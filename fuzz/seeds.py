"""Octets to begin with: what each parser takes on an ordinary day. The corpus grows from them."""

import struct

from twisted.names import dns

from jobctl.jobprotocol.codec import encode
from jobctl.jobprotocol.frames import Ask, Report, Submit
from jobctl.mail.disposition import Verdict
from jobctl.mail.envelope import Envelope, Recipient

_ENVELOPE = Envelope(sender="a@b", recipients=(Recipient("c@d", "NEVER", "rfc822;c@d"),))
_SESSION = (
    b"\x07EHLO c\r\nMAIL FROM:<a@b> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<c@d> NOTIFY=NEVER\r\nDATA\r\n"
    b"Subject: x\r\n\r\n..\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\nBDAT 3\r\na\r\nBDAT 3 LAST\r\nb\r\n"
)


def _dns() -> bytes:
    message = dns.Message(answer=1)
    message.addQuery(b"mx.example", dns.MX)
    message.answers = [
        dns.RRHeader(b"mx.example", dns.CNAME, ttl=5, payload=dns.Record_CNAME(b"b.example")),
        dns.RRHeader(b"b.example", dns.MX, ttl=9, payload=dns.Record_MX(10, b"c.example")),
        dns.RRHeader(b"c.example", dns.A, ttl=9, payload=dns.Record_A("192.0.2.1")),
    ]
    return bytes(message.toStr())


SEEDS: dict[str, tuple[bytes, ...]] = {
    "command_lines": (
        b"\x02EHLO a\r\nMAIL FROM:<>\r\n",
        b"\x00a\rb\nc\r\r\n\r\n",
        b"\x09" + b"x" * 5000 + b"\r\nNOOP\r\n",
    ),
    "parameters": (
        b"FROM:<a@b> SIZE=10 BODY=8BITMIME RET=HDRS ENVID=x+2B SMTPUTF8 AUTH=<> MT-PRIORITY=-3 HOLDFOR=60 BY=-60;NT",
        b"TO:<@x,@y:a@[192.0.2.1]> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+40b",
        b'FROM:<"a \\" b"@x.example> HOLDUNTIL=2030-01-01T00:00:00Z',
    ),
    "address": (
        b'<"a b"@c.example>',
        b"<@x:a@[IPv6:2001:db8::1]>",
        b"<postmaster>",
        "<ä@ö.example>".encode(),
        b"<>",
    ),
    "replies": (
        b"\x03250-a\r\n250-b c\r\n250 ok\r\n421 4.3.2 bye\r\n",
        b"\x00354\r\n250 2.0.0 \xff\n",
        b"\x00999 x\r\n",
    ),
    "content": (b"\x01.\r\n..\r\n.a\rb\nc\r\n", b"\x04" + b"y" * 1100 + b"\r\n.\r\n"),
    "received": (b"\x01a\r\n.\n.\r\n..\r.\r\n", b"\x02\n.\n\r.\r\r\n\x00.\r\n"),
    "conversion": (
        b"\x05A: b\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\np\r\n--m\r\nContent-Type: text/plain\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\n\xe9 =\r\n--m\r\nContent-Type: message/rfc822\r\n\r\nB: c\r\n\r\n"
        b"\xe9\r\n--m--\r\ne\r\n",
        b"\x01Subject: x\r\n\r\n" + b"- \xe9" * 60 + b"\r\n",
        b'\x02Content-Type: multipart/signed; boundary="s\\s"\r\n\r\n--ss\r\n\r\n\xe9\r\n--ss--\r\n',
    ),
    "header_fields": (
        b'\x03To: "a, b" <c@d>, e: f@g, h@i;\r\n , j@[::1] (k (l)\r\nX: y\r\n\r\nTo: z\r\n',
        b"\x00\r\nTo: x\r\n",
    ),
    "job_frames": (
        b"\x09" + encode(Ask(n=3)) + encode(Submit(id="S1", envelope=_ENVELOPE), b"content"),
        b"\x03" + encode(Report(id="E1", verdict=Verdict.DEFERRED, status="4.0.0", reply="451 x")),
    ),
    "proxy_header": (
        b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 25\r\nEHLO",
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H4s4sHH", 12, b"\xc0\0\2\1", b"\xc0\0\2\2", 9, 25),
    ),
    "mapping": (
        b"! comment\n*|$(192.0.2.0/24)|$D%*  $N550$ 5.7.1$ no$ $0$|T;$1|\nx$A*  $C$Yy$:Y$0\x00a|192.0.2.7|9x",
        b"$[a-z]%$_*$0*   $R$0$1\x00abcab",
    ),
    "selection": (
        b"rcpt.domain=example.com and (age>1h or not size<10k) and attempts<5",
        b'subject~"a b*" or state=held,ready',
    ),
    "configuration": (
        b'[job_controller]\nqueue_directory="q"\n[channel.l]\nofficial_host_name="a.example"\n[channel.tcp_x]\n'
        b'official_host_name="b"\nsmtp=true\nbackoff=["PT1M"]\nnotices=[1,2]\n[rewrite]\n"."="tcp_x"\n',
        b"[mapping]\nPORT_ACCESS='''\nTCP|*  $N\n'''\n[[retry]]\nreply='450'\n",
        b'[dispatcher.service.S]\nlisten=["tcp:2525"]\nchannel="l"\n[defaults]\nbackoff="PT1M"\n',
    ),
    "option_file": (b"! a\nTIMEOUT_MULTIPLIER=1\nBANNER_HOST=a.example\n", b"x y\n=\n"),
    "sasl_exchanges": (
        b"\0ann\0sesame",
        b"n,,n=ann,r=abc\xffc=biws,r=abc,p=AAAA",
        b"user=ann\x01auth=Bearer t\x01\x01",
        b"n,a=ann,\x01auth=Bearer t\x01\x01",
        b"p=tls-exporter,,n=ann,r=abc",
    ),
    "sasl_answers": (b"r=abcdef,s=c2FsdA==,i=4096\xffv=AAAA", b"Username:\xffPassword:", b"e=other-error"),
    "password_file": (
        b"# c\nann:SCRAM-SHA-256$1:c2FsdA==$AAAA:AAAA\nbob:$scrypt$ln=4,r=8,p=1$c2FsdA$AAAA\nx\n",
        b"ann:SCRAM-SHA-256$1:c2FsdA==$" + b"A" * 43 + b"=:" + b"A" * 43 + b"=\n",
    ),
    "dns_answers": (_dns(),),
    "server_dialogue": (_SESSION, b"\x01EHLO c\r\nAUTH PLAIN\r\nAGFubgBzZXNhbWU=\r\nSTARTTLS\r\nNOOP\r\n"),
    "client_dialogue": (
        b"\x04250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n250 taken\r\n",
        b"\x02250 ok\r\n250 ok\r\n250 ok\r\n250 taken\r\n221 bye\r\n",
    ),
}
