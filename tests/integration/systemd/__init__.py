"""gomd as a service of a real systemd: Debian 13 with systemd as process 1, in namespaces of its own."""
