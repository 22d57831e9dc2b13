"""Real jobs that move between real daemons, each on a host of namespaces."""
