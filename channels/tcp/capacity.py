"""How many connections a server program has descriptors for."""

import resource

# For pipes, listeners, name lookups and whoever checks passwords.
_SPARE = 64


def room_for(connections: int) -> int:
    """
    Of so many connections, those that there are descriptors for; at least one.

    The limit of the process is raised to what that takes, where the system lets us (``limit_open_files`` does
    not). Who comes when all are in use is told so; without a descriptor for it a client would wait unheard.
    """
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE
    if limit != resource.RLIM_INFINITY and limit < wanted:
        limit = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    if limit == resource.RLIM_INFINITY:
        return connections
    return max(1, min(connections, limit - min(_SPARE, limit // 4)))
