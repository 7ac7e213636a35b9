"""HTTP: doors into a world. `transport` (httpx) and `miniflare` (the facade for tests)."""
