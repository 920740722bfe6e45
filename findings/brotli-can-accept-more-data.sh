#!/usr/bin/env bash
# brotli 1.2.0: `Decompressor.can_accept_more_data()` is true while decompressed data is still waiting to be returned.
#
# `process(data, output_buffer_limit=N)` bounds memory: the rest of the output is fetched by `process(b"")`. The
# docstrings say that only empty input may be given until `can_accept_more_data()` returns True. It returns True before
# the last blocks are returned, so a reader that stops fetching there loses the end of the stream, and `is_finished()`
# stays false. For a small body it loses nothing, which hides the mistake. What works: call `process(b"")` until it
# returns nothing. The limit is approximate: 98,272 bytes are returned for a limit of 65,536.
#
# Output seen:
#   loop until can_accept_more_data(): 8451392 of 10000000 bytes, is_finished False
#   loop until nothing is returned: 10000000 of 10000000 bytes, is_finished True
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet brotli==1.2.0
"$folder/venv/bin/python" - <<'PYTHON'
import brotli

LIMIT = 65_536
compressed = brotli.compress(bytes(10_000_000))


def read(done):
    decompressor = brotli.Decompressor()
    chunk = decompressor.process(compressed, output_buffer_limit=LIMIT)
    size = len(chunk)
    while not done(decompressor, chunk):
        chunk = decompressor.process(b"", output_buffer_limit=LIMIT)
        size += len(chunk)
    return size, decompressor.is_finished()


by_flag = read(lambda decompressor, _: decompressor.can_accept_more_data())
by_output = read(lambda _, chunk: not chunk)
print("loop until can_accept_more_data(): %d of 10000000 bytes, is_finished %s" % by_flag)
print("loop until nothing is returned: %d of 10000000 bytes, is_finished %s" % by_output)
assert by_flag[0] < 10_000_000 and not by_flag[1]
assert by_output == (10_000_000, True)
PYTHON
