"""Builds the guest: CPython for WebAssembly with the codec, as a snapshot of a started interpreter.

`python -m wasm build` does all of it; wasm/README.md has the steps.
"""
