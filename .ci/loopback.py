"""Bring the loopback interface up in a fresh network namespace, without `ip`."""

import fcntl
import socket
import struct

SIOCSIFFLAGS, IFF_UP_RUNNING = 0x8914, 0x41

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_RUNNING))
