"""Configurations for tests of the whole daemon; ``@NAME@`` is filled in by :class:`tests.daemon.Daemon`."""

# Where everything lies, and which programs serve which channels.
PLACES = """
[job_controller]
queue_directory = "var/queue"
control_socket = "var/control.sock"
log_directory = "var/log"
[job_controller.channel_class."test_smtp*"]
master_command = "test_smtp_master"
slave_command = "test_smtp_slave"
transport = "tcp"
[job_controller.channel_class."tcp*"]
master_command = "tcp_smtp_client"
slave_command = "tcp_smtp_server"
[job_controller.channel_class."maildir*"]
master_command = "maildir_master"
"""

GATEWAY = (
    PLACES
    + """
[job_controller.job_pool.SMTP_POOL]
job_limit = 10
[dispatcher.service.SMTP]
listen  = ["tcp:@PORT@:interface=127.0.0.1"]
channel = "tcp_local"
relay_from = ["127.0.0.0/8", "::1"]
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
official_host_name = "tcp-daemon"
smtp = true
pool = "SMTP_POOL"
[channel.maildir]
official_host_name = "maildir-daemon"
maildir = "Maildir"
[channel.test_smtp_gateway]
official_host_name = "gateway.example.net"
smtp = true
daemon = "[127.0.0.1]"
port = @GATEWAY@
[channel.tcp_gateway]
official_host_name = "tcp-gateway"
smtp = true
daemon = "[127.0.0.1]"
port = @GATEWAY@
[rewrite]
"mail.example.org" = "maildir"
"partner.example" = "test_smtp_gateway"
"fast.example" = "tcp_gateway"
"." = "tcp_local"
"""
)
