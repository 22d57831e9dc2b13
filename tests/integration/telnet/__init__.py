"""The telnet line of a real daemon: by hand, by programs, by those who mean ill."""
