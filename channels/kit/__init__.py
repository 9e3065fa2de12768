"""What channel programs are built on: the job link, a loop without a reactor, start-up, debug lines."""
