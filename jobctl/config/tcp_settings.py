"""The TCP/IP-channel-specific options of a channel, as everything else reads them."""

import msgspec


class TcpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """
    The TCP/IP-channel-specific options.

    Names are the options' own in lower case.  Every ``*_time`` is in units of
    ``timeout_multiplier`` seconds; use :meth:`seconds`.  ``None`` is no limit.
    """

    # limits and counts
    allow_etrns_per_session: int = 1
    allow_recipients_per_transaction: int = 128
    reject_recipients_per_transaction: int | None = None
    allow_rejections_before_deferral: int | None = None
    allow_transactions_per_session: int | None = None
    transaction_limit_rcpt_to: int = 0
    allow_session_blocks: int = 0
    attempt_transactions_per_session: int | None = None
    max_client_threads: int = 10
    max_a_records: int | None = None
    max_mx_records: int = 32
    max_b_entries: int = 10
    max_j_entries: int = 10
    max_helo_domain_length: int | None = None
    permanent_552: tuple[str, ...] = ()  # 552_PERMANENT_ERROR_STRING
    # timeouts
    command_receive_time: float = 10
    command_transmit_time: float = 10
    mail_transmit_time: float = 10
    rcpt_transmit_time: float = 10
    data_transmit_time: float = 10
    dot_transmit_time: float = 10
    data_receive_time: float = 5
    status_transmit_time: float = 10
    status_receive_time: float = 10
    status_mail_receive_time: float = 10
    status_rcpt_receive_time: float = 10
    status_data_receive_time: float = 10
    status_data_recv_per_addr_time: float = 0.083333
    status_data_recv_per_block_time: float = 0.001666
    status_data_recv_per_addr_per_block_time: float = 0.003333
    session_time: float | None = None
    timeout_multiplier: float = 60
    fast_smtp_session_time_limit: float = 30  # seconds
    reuse_timed_out_transfers: int = 0
    # greeting and commands
    banner_host: str | None = None
    banner_addition: str | None = None
    banner_purge_delay: int = 0  # centiseconds
    custom_version_string: str | None = None
    ehlo_addition: str | None = None
    initial_command: str | None = None
    hide_verify: int = 0
    check_source: int = 1
    disable_expand: int = 0
    disable_send: int = 1
    disable_general: int = 1
    disable_circuit: int = 1
    disable_address: int = 1
    disable_status: int = 1
    # logging
    log_banner: int = 0
    log_transportinfo: int = 0
    log_connection: int | None = None
    trace_level: int = 0

    def seconds(self, option: str) -> float:
        """A ``*_time`` option, such as ``"command_receive_time"``, in seconds."""
        value: float = getattr(self, option)
        return value * self.timeout_multiplier

    def dot_reply_seconds(self, recipients: int, octets: int) -> float:
        """How long the reply to the final dot may take: base, per address, per block, and both."""
        blocks = (octets + 1023) // 1024
        return self.timeout_multiplier * (
            self.status_data_receive_time
            + recipients * self.status_data_recv_per_addr_time
            + blocks * self.status_data_recv_per_block_time
            + recipients * blocks * self.status_data_recv_per_addr_per_block_time
        )
