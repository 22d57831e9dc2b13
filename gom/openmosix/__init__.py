"""openMosix's commands under their old names: mosctl, mosrun, migrate, mps. See docs/openmosix-names.md."""
