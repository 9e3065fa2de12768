"""Never says hello."""

import time

while True:
    time.sleep(1000)
