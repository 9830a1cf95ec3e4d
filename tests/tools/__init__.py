"""What the Makefile runs: setting up, locking, and the checks before a release."""
