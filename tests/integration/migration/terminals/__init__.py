"""
What people try first at a prompt: shells, editors and pagers move with their terminals.

Somebody types in a `gom run` on a real terminal, and goes on typing behind each move.
"""
