"""Where the node's numbers come from: each module is one INodeSource."""
