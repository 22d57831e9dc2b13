"""The commands of `[commands]`, which an administrator runs with `do NAME`."""
