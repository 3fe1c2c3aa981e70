"""What the C library's allocator does with memory that a training step gives back."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)


def keep_freed_memory() -> None:
    """Keeps what is freed for the next step instead of returning it to the system; nothing but on glibc.

    A step on the CPU asks for the same large blocks again and again. By default each is mapped anew, and the
    system fills it with zeros first, which may take as long as the arithmetic.
    """
    if not sys.platform.startswith("linux"):
        return
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)  # musl, for one, has none
    if adjust is not None:
        adjust(M_MMAP_MAX, 0)
        adjust(M_TRIM_THRESHOLD, -1)
