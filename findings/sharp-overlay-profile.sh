#!/usr/bin/env bash
# sharp 0.35.5: the ICC profile of an overlay is ignored, so a logo in Display P3 has other colours than as a picture.
#
# sharp converts a picture to sRGB by its profile before it works on it. What `composite` lays over it, is not
# converted: its numbers are taken for sRGB. PNG files that were made on a Mac often have the profile Display P3. Their
# colours become duller so, also over a picture with the same profile. What works: convert the overlay by a sharp of its
# own, and give its result to `composite`. In the other direction, `keepIccProfile` does not turn an overlay in sRGB
# into the profile that it keeps.
#
# Seen with sharp 0.35.5 (libvips 8.18), Node.js 20 (green in Display P3 is sRGB's green):
#
#   as a picture: 3,255,0; as an overlay: 117,251,76; converted before: 3,255,0
#
# Exits with 0 while this holds, and with 1 once the overlay is converted. Needs Node.js and npm.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" sharp@0.35.5 >/dev/null
cat >"$folder/run.js" <<'JS'
const sharp = require("sharp");

const plain = (size, background) => sharp({ create: { width: size, height: size, channels: 3, background } });

async function pixel(file) {
  const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
  const start = (3 * info.width + 3) * info.channels;
  return [...data.subarray(start, start + 3)];
}

(async () => {
  const photo = await plain(40, "black").png().toBuffer();
  const logo = await plain(10, "#00ff00").withIccProfile("p3").png().toBuffer();
  const over = async (input) => pixel(await sharp(photo).composite([{ input, left: 0, top: 0 }]).png().toBuffer());
  const converted = await sharp(logo).png().toBuffer();
  const [alone, laid, before] = [await pixel(converted), await over(logo), await over(converted)];
  console.log(`as a picture: ${alone}; as an overlay: ${laid}; converted before: ${before}`);
  const near = (one, other) => one.every((value, band) => Math.abs(value - other[band]) < 8);
  process.exit(near(before, alone) && !near(laid, alone) ? 0 : 1);
})();
JS
cd "$folder"
node run.js
