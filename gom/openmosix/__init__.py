"""The commands of openMosix under their old names: mosctl, mosrun, migrate, mps; docs/openmosix-names.md."""
