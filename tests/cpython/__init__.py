"""CPython's own tests, run in the guest: `make guest-test`, and a fast part of them with the other tests."""
