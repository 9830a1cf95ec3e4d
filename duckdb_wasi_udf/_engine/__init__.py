"""wasmtime: the artifact, its machine code, raw calls, clocks and deadlines."""
