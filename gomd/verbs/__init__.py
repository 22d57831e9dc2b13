"""What can be asked: one table of verbs, one file a subject; every protocol offers the same verbs."""
