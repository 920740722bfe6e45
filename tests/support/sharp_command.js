// sharp SOURCE METHOD+OPTION=VALUE... OUT calls these methods of sharp in turn: jpeg+mozjpeg=true+quality=92.
// Several such commands follow each other with -execute between them.
// With raw as OUT it prints how libvips shows each SOURCE: upright, in sRGB, as RGBA.
const sharp = require("sharp");

function value(text) {
    try {
        return JSON.parse(text);
    } catch {
        return text;
    }
}

async function shown(source) {
    const image = sharp(source).autoOrient().toColourspace("srgb").ensureAlpha();
    const { data, info } = await image.raw({ depth: "uchar" }).toBuffer({ resolveWithObject: true });
    return [info.width, info.height, data.toString("base64")];
}

async function show(sources) {
    const all = {};
    for (const source of sources) {
        all[source] = await shown(source).catch(() => null);
    }
    console.log(JSON.stringify(all));
}

async function convert([source, ...calls], out) {
    const animated = calls[0] === "animated";
    let image = sharp(source, { animated });
    for (const call of calls.slice(animated ? 1 : 0)) {
        const [method, ...options] = call.split("+");
        const pairs = options.map((option) => option.split("=")).map(([name, text]) => [name, value(text)]);
        const [name, profile] = method.split("=");
        image = image[name](profile ?? Object.fromEntries(pairs));
    }
    await image.toFile(out);
}

async function main(given) {
    if (given.at(-1) === "raw") {
        return show(given.slice(0, -1));
    }
    for (const command of given.join(" ").split(" -execute ")) {
        const words = command.split(" ");
        await convert(words.slice(0, -1), words.at(-1));
    }
}

main(process.argv.slice(2)).catch((error) => {
    console.error(error.message);
    process.exit(1);
});
