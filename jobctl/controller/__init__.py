"""The Job Controller itself: store, schedule and jobs joined into one queue."""
