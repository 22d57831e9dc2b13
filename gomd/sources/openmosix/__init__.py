"""The source over an openMosix kernel: /proc/hpc and what it adds to /proc/PID."""
