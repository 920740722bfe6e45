"""Forwards connections: python -m tests.support.forward LISTEN=TARGET ..., until it is killed.

An address is `host:port` or the path of a Unix socket. Sockets with a path connect network namespaces.
"""

import asyncio
import sys
from contextlib import suppress


async def _open(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("/"):
        return await asyncio.open_unix_connection(address)
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


_connections: set[asyncio.Task[None] | None] = set()
"""The tasks of open connections: asyncio itself keeps only weak references."""


async def _serve(listen: str, target: str) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        _connections.add(task)
        with suppress(OSError):
            there_reader, there_writer = await _open(target)
            await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
            there_writer.close()
        writer.close()
        _connections.discard(task)

    if listen.startswith("/"):
        server = await asyncio.start_unix_server(connected, listen)
    else:
        host, _, port = listen.rpartition(":")
        server = await asyncio.start_server(connected, host, int(port))
    async with server:
        await server.serve_forever()


async def _main(pairs: list[str]) -> None:
    await asyncio.gather(*(_serve(*pair.split("=", 1)) for pair in pairs))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
