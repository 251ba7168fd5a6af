"""A small adbd over TCP: what an Android phone answers to a real adb server. A folder is its file system.

Protocol: packages/modules/adb/protocol.txt, SYNC.TXT and shell_protocol.h in AOSP. One connection (the server's), many
streams in it, each with one packet in flight. What runs on the phone is for `run` to say.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

VERSION = 0x01000001  # from this version on there are no checksums
MAX_DATA = 1 << 20
CHUNK = 64 * 1024
FEATURES = "shell_v2,cmd"  # without stat_v2 and sendrecv_v2 the server uses the plain ones below

STDOUT, STDERR, EXIT = 1, 2, 3
TOKEN, PUBLIC_KEY = 1, 3


class Adbd:
    """Listens on a port of its own until `close`. `authorized()` is asked at each connection.

    `run(command)` starts a shell command; `free_bytes()` is what a push finds of room; `banner` are the properties
    that the server shows in its list.
    """

    def __init__(
        self,
        root: Path,
        banner: str,
        run: Callable[[str], subprocess.Popen[bytes]],
        free_bytes: Callable[[], int],
        authorized: Callable[[], bool],
        port: int = 0,
    ) -> None:
        self.root, self.banner, self.run, self.free_bytes, self.authorized = root, banner, run, free_bytes, authorized
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """As if the cable came out: at once, in the middle of whatever was said."""
        # Shutting down wakes the thread in accept(), which a mere close would leave there with the port in use.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)
            threading.Thread(target=_Connection(self, connection).serve, daemon=True).start()


class _Connection:
    """The server's connection to the phone."""

    def __init__(self, adbd: Adbd, connection: socket.socket) -> None:
        self.adbd = adbd
        self._socket = connection
        self._lock = threading.Lock()
        self._streams: dict[int, _Stream] = {}
        self._next = 1

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        number = int.from_bytes(command, "little")
        header = struct.pack("<4sIIIII", command, first, second, len(data), 0, number ^ 0xFFFFFFFF)
        with self._lock:
            self._socket.sendall(header + data)

    def serve(self) -> None:
        try:
            while True:
                command, first, second, length, _, _ = struct.unpack("<4sIIIII", self._read(24))
                self._handle(command, first, second, self._read(length))
        except (OSError, EOFError):
            for stream in list(self._streams.values()):
                stream.end()

    def _handle(self, command: bytes, first: int, second: int, data: bytes) -> None:
        if command == b"CNXN":
            if self.adbd.authorized():
                self.send(b"CNXN", VERSION, MAX_DATA, f"device::{self.adbd.banner}features={FEATURES}".encode())
            else:
                self.send(b"AUTH", TOKEN, 0, bytes(20))
        elif command == b"AUTH":
            # No signature is known to this phone; with the public key, it asks its user and says nothing more.
            if first != PUBLIC_KEY:
                self.send(b"AUTH", TOKEN, 0, bytes(20))
        elif command == b"OPEN":
            stream = _Stream(self, self._next, first)
            self._streams[self._next] = stream
            self._next += 1
            service = data.rstrip(b"\0").decode()
            threading.Thread(target=stream.serve, args=(service,), daemon=True).start()
        elif second in self._streams:
            stream = self._streams[second]
            if command == b"OKAY":
                stream.ready.release()
            elif command == b"WRTE":
                stream.incoming.put(data)
                self.send(b"OKAY", stream.local, stream.remote)
            elif command == b"CLSE":
                del self._streams[second]
                stream.end()

    def _read(self, count: int) -> bytes:
        parts = []
        while count > 0:
            more = self._socket.recv(min(count, 1 << 20))
            if not more:
                raise EOFError
            parts.append(more)
            count -= len(more)
        return b"".join(parts)


class _Stream:
    """One service that the server opened: a shell command or a file transfer."""

    def __init__(self, connection: _Connection, local: int, remote: int) -> None:
        self.connection, self.local, self.remote = connection, local, remote
        self.ready = threading.Semaphore(0)
        self.incoming: queue.Queue[bytes] = queue.Queue()
        self._ended = False
        self._rest, self._at = b"", 0

    def serve(self, service: str) -> None:
        adbd = self.connection.adbd
        kind, _, command = service.partition(":")
        try:
            if kind.split(",")[0] not in ("shell", "exec", "sync"):
                self.connection.send(b"CLSE", 0, self.remote)
                return
            self.connection.send(b"OKAY", self.local, self.remote)
            if kind == "sync":
                _Files(adbd, self).serve()
            else:
                self._shell(adbd.run(command), packets="v2" in kind.split(","))
            self.connection.send(b"CLSE", self.local, self.remote)
        except (OSError, EOFError):
            pass  # the cable is out, or the server lost interest: as on a phone, the command itself goes on

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK):
            if self._ended:
                raise EOFError
            self.connection.send(b"WRTE", self.local, self.remote, data[start : start + CHUNK])
            self.ready.acquire()

    def read(self, count: int) -> bytes:
        parts = []
        while count > 0:
            if self._at == len(self._rest):
                self._rest, self._at = self.incoming.get(), 0
                if not self._rest:
                    raise EOFError
            parts.append(self._rest[self._at : self._at + count])
            self._at += len(parts[-1])
            count -= len(parts[-1])
        return b"".join(parts)

    def end(self) -> None:
        self._ended = True
        self.incoming.put(b"")
        self.ready.release()

    def _shell(self, process: subprocess.Popen[bytes], packets: bool) -> None:
        lock = threading.Lock()

        def forward(stream: int) -> None:
            pipe = process.stdout if stream == STDOUT else process.stderr
            assert pipe is not None
            with contextlib.suppress(OSError, EOFError):
                while data := pipe.read1(CHUNK):  # type: ignore[attr-defined]
                    data = data.replace(str(self.connection.adbd.root).encode(), b"")
                    with lock:
                        self.write(struct.pack("<BI", stream, len(data)) + data if packets else data)
            pipe.close()

        threads = [threading.Thread(target=forward, args=(stream,), daemon=True) for stream in (STDOUT, STDERR)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        code = process.wait()
        if packets:
            # A shell's exit code of a process ended by a signal is 128 + its number.
            self.write(struct.pack("<BIB", EXIT, 1, code if code >= 0 else 128 - code))


class _Files:
    """The sync service: STAT, LIST, SEND, RECV, QUIT."""

    def __init__(self, adbd: Adbd, stream: _Stream) -> None:
        self.adbd, self.stream = adbd, stream

    def serve(self) -> None:
        while True:
            name, length = struct.unpack("<4sI", self.stream.read(8))
            if name == b"QUIT":
                return
            path = self.stream.read(length).decode()
            {b"STAT": self._stat, b"LIST": self._list, b"SEND": self._send, b"RECV": self._receive}[name](path)

    def _at(self, path: str) -> Path:
        return self.adbd.root / path.lstrip("/")

    def _stat(self, path: str) -> None:
        self.stream.write(b"STAT" + _status(self._at(path)))

    def _list(self, path: str) -> None:
        for entry in sorted(self._at(path).glob("*")):
            name = entry.name.encode()
            self.stream.write(b"DENT" + _status(entry) + struct.pack("<I", len(name)) + name)
        self.stream.write(b"DONE" + bytes(16))

    def _send(self, path_and_mode: str) -> None:
        path, _, mode = path_and_mode.rpartition(",")
        parts = []
        while True:
            name, length = struct.unpack("<4sI", self.stream.read(8))
            if name == b"DONE":
                break
            parts.append(self.stream.read(length))
        content = b"".join(parts)
        target = self._at(path)
        room = self.adbd.free_bytes()
        try:
            # As a phone does: what fits is written, and the transfer fails at its end.
            target.write_bytes(content[:room])
            target.chmod(int(mode) & 0o777)
            problem = "No space left on device" if len(content) > room else ""
        except OSError as error:
            problem = error.strerror or str(error)
        if problem:
            text = f"couldn't create file '{path}': {problem}".encode()
            self.stream.write(b"FAIL" + struct.pack("<I", len(text)) + text)
        else:
            self.stream.write(b"OKAY" + bytes(4))

    def _receive(self, path: str) -> None:
        try:
            content = self._at(path).read_bytes()
        except OSError as error:
            text = (error.strerror or str(error)).encode()
            self.stream.write(b"FAIL" + struct.pack("<I", len(text)) + text)
            return
        for start in range(0, len(content), CHUNK):
            part = content[start : start + CHUNK]
            self.stream.write(b"DATA" + struct.pack("<I", len(part)) + part)
        self.stream.write(b"DONE" + bytes(4))


def _status(path: Path) -> bytes:
    """mode, size, time of change; all 0 for what is not there."""
    try:
        status = path.stat()
    except OSError:
        return bytes(12)
    return struct.pack("<III", status.st_mode, status.st_size & 0xFFFFFFFF, int(status.st_mtime))
