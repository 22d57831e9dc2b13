"""Which nodes there are, what happened to them, and the tree of paths over all of them."""
