"""numpy's own tests in the guest: `python -m tests.numpy_suite`."""
