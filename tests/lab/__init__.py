"""The test laboratory: a real conda, real Pythons packed into a local channel, and oracles."""
