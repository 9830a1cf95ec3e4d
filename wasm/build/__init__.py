"""The steps that build the guest."""
