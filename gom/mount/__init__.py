"""`gom mount`: the tree as a file system, in a process of its own."""
