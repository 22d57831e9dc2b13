"""How a new node gets the cluster's key by a one-time code: `gom invite` and `gom init --join`."""
