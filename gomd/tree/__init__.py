"""The /proc/hpc view of the whole cluster: the source's own files, guests, and the other nodes' values."""
