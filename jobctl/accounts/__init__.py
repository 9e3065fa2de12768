"""What is told of finished work: transaction log, counters, ledger and history, as values and text."""
