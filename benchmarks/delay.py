"""A TCP proxy that forwards what a client sends after a delay. It simulates a distant origin.

python -m benchmarks.delay PORT TO_PORT MILLISECONDS [ADDRESS]

It listens on ADDRESS, by default 127.0.0.1.
"""

import asyncio
import sys
from contextlib import suppress

HOST = "127.0.0.1"


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    with suppress(OSError):
        while data := await reader.read(256 * 1024):
            if seconds:
                await asyncio.sleep(seconds)
            writer.write(data)
            await writer.drain()
    writer.close()


async def _serve(address: str, port: int, to_port: int, seconds: float) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(HOST, to_port)
        await asyncio.gather(_forward(reader, far_writer, seconds), _forward(far_reader, writer, 0))

    async with await asyncio.start_server(client, address, port, backlog=1024) as server:
        await server.serve_forever()


if __name__ == "__main__":
    number, to, milliseconds = map(int, sys.argv[1:4])
    listen = sys.argv[4] if len(sys.argv) > 4 else HOST
    asyncio.run(_serve(listen, number, to, milliseconds / 1000))
