"""Running guests: how one is started and called, which one serves a call, and when it ends."""
