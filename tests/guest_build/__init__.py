"""Tests of the guest's build in wasm/."""
