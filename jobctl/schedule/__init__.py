"""What is tried when: backoff, pools, fairness, priorities, expiry; pure, driven by a clock argument."""
