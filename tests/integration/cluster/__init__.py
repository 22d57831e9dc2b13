"""Tests of a whole cluster: eight hosts in network namespaces, a real daemon on each."""
