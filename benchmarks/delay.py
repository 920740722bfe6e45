"""A relay of bytes that hands on what a client sends so many milliseconds later: an origin that is far away.

python -m benchmarks.delay PORT TO_PORT MILLISECONDS
"""

import asyncio
import sys
from contextlib import suppress
from functools import partial

HOST = "127.0.0.1"


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    with suppress(OSError):
        while data := await reader.read(256 * 1024):
            if seconds:
                await asyncio.sleep(seconds)
            writer.write(data)
            await writer.drain()
    writer.close()


async def _serve(port: int, to_port: int, seconds: float) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(HOST, to_port)
        await asyncio.gather(_pass_on(reader, far_writer, seconds), _pass_on(far_reader, writer, 0))

    async with await asyncio.start_server(client, HOST, port, backlog=1024) as server:
        await server.serve_forever()


if __name__ == "__main__":
    number, to, milliseconds = map(int, sys.argv[1:])
    asyncio.run(partial(_serve, number, to, milliseconds / 1000)())
