"""What the operating system and Python leave to us: stacks, signals, threads and cache files."""
