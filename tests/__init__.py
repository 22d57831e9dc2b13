"""gomd's own tests: unit (no sockets, no sleep) and integration (real daemons)."""
