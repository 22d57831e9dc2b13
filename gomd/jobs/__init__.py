"""Running and moving processes, and the commands of an administrator."""
