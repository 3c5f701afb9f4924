"""Leaves new connections to the gateway that follows on the same port, before this one stops listening.

Two gateways may listen on one address of the host (SO_REUSEPORT); the kernel spreads connections over both, and resets
those that a listener had not accepted yet when it closed. So the old one first attaches a program to the port, by which
the kernel picks a listener that joined later; what waits for the old one it accepts, and closes with an empty queue.
The program belongs to the port, not to who attached it, so the last listener of the old gateway takes it off again.
Kernel documentation: socket(7), SO_ATTACH_REUSEPORT_CBPF and SO_DETACH_REUSEPORT_BPF. It is an optimisation: where it
fails nothing else changes.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
from array import array

log = logging.getLogger(__name__)

_SO_ATTACH_REUSEPORT_CBPF = 51
_SO_DETACH_REUSEPORT_BPF = 68
# Classic BPF, by linux/bpf_common.h and linux/filter.h: (opcode, constant).
_LOAD_ANCILLARY, _MODULO, _ADD, _RETURN_A = 0x20, 0x94, 0x04, 0x16
_RANDOM = 0xFFFFF000 + 56
"""SKF_AD_OFF + SKF_AD_RANDOM: not a place in the packet, but a random number."""


def program(own: int) -> bytes:
    """Return the program that picks one of the listeners after the first `own` ones of a port, each as often.

    Listeners are numbered in the order in which they began to listen. For a number that nobody has, the kernel falls
    back to spreading over all of them.
    """
    steps = [(_LOAD_ANCILLARY, _RANDOM), (_MODULO, own), (_ADD, own), (_RETURN_A, 0)]
    return b"".join(struct.pack("=HBBI", opcode, 0, 0, constant) for opcode, constant in steps)


def leave_to_later(descriptor: int, own: int) -> bool:
    """Let the kernel pick a later listener of this listening socket's port for each new connection; False when it
    cannot.

    `own`: how many processes of this gateway listen there.
    """
    steps = array("B", program(own))
    address, size = steps.buffer_info()
    try:
        with _of(descriptor) as listener:
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, struct.pack("HP", size // 8, address))
    except OSError as error:
        log.warning("new connections cannot be left to the next gateway on this port: %s", error)
        return False
    return True


def spread_again(descriptor: int) -> None:
    """Let the kernel spread new connections over all listeners of this listening socket's port again.

    For the last listener of a gateway that ends, right before it closes: it gets connections again. A program that
    stayed would go by the number of its processes among the listeners of the next one, and if that has more, some of
    them would get all connections and others none for as long as they live.
    """
    try:
        with _of(descriptor) as listener:
            listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_REUSEPORT_BPF, 0)
    except OSError as error:
        if error.errno != errno.ENOENT:  # there is none
            log.warning("the next gateway on this port may use some of its workers only: %s", error)


def _of(descriptor: int) -> socket.socket:
    return socket.socket(fileno=os.dup(descriptor))
