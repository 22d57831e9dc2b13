"""gomd, the general openMosix daemon: one on every node of a Linux cluster."""
