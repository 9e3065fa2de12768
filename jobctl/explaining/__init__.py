"""Why a message is where it is: facts in, one causal chain out."""
