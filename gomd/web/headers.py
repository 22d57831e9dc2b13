"""The headers of every answer, and those of the page: what a browser may load and run."""

from __future__ import annotations

from typing import Final

#: No browser guesses a type, keeps an answer, shows it in a frame of another site, or tells where it was.
COMMON_HEADERS: Final = (
    (b"Server", b"gomd"),
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Content-Security-Policy", b"default-src 'none'; frame-ancestors 'none'"),
)
#: Scripts, styles and data of this origin only, nothing inline; text never becomes markup (Trusted Types).
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types gomd"
)
PAGE_HEADERS: Final = {
    "Content-Security-Policy": PAGE_POLICY,
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
