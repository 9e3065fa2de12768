"""Values of mail: address, envelope, reply, disposition, queue entry, notification, trace fields."""
