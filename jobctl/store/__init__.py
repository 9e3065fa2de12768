"""Where accepted mail lives until its last recipient has a final verdict."""
