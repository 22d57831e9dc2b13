"""The Debian packages on a Debian 13 with systemd; `make test-packages` builds them first. As root."""
