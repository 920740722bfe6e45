// A straightforward program with sharp for a part of imgrelay's work: it fetches each URL of a manifest, composes the
// template over the picture, encodes it as JPEG and writes it to a folder. It has no retries, no limits and no records.
//
// node sharp_worker.js MANIFEST FOLDER TEMPLATE PROCESSES DOWNLOADS
//
// DOWNLOADS pictures are fetched at the same time, and PROCESSES are composed, each by one thread of libvips.
const [, , manifest, folder, template, processes, downloads] = process.argv;
process.env.UV_THREADPOOL_SIZE = String(Number(processes) + 2); // the threads of libvips, and two that write files

const crypto = require("crypto");
const fs = require("fs");
const http = require("http");
const path = require("path");
const sharp = require("sharp");

sharp.concurrency(1);
sharp.cache(false); // no picture comes twice

const agent = new http.Agent({ keepAlive: true, maxSockets: Number(downloads) });

function fetched(url) {
    return new Promise((resolve, reject) => {
        const request = http.get(url, { agent, timeout: 60_000 }, (response) => {
            const parts = [];
            response.on("data", (part) => parts.push(part));
            response.on("error", reject);
            response.on("end", () => {
                if (response.statusCode === 200) {
                    resolve(Buffer.concat(parts));
                } else {
                    reject(new Error(`${url}: ${response.statusCode}`));
                }
            });
        });
        request.on("timeout", () => request.destroy(new Error(`${url}: timeout`)));
        request.on("error", reject);
    });
}

// At most `size` calls at the same time.
function limit(size) {
    const waiting = [];
    let busy = 0;
    return async (work) => {
        if (busy >= size) {
            await new Promise((resolve) => waiting.push(resolve));
        } else {
            busy += 1;
        }
        try {
            return await work();
        } finally {
            if (waiting.length) {
                waiting.shift()();
            } else {
                busy -= 1;
            }
        }
    };
}

const layers = new Map(); // the template in every size that was needed so far

function layer(width, height) {
    const key = `${width}x${height}`;
    if (!layers.has(key)) {
        const raw = sharp(template).resize(width, height, { fit: "fill" }).ensureAlpha().raw();
        layers.set(key, raw.toBuffer().then((input) => ({ input, raw: { width, height, channels: 4 } })));
    }
    return layers.get(key);
}

async function compose(data, name) {
    const picture = sharp(data).autoOrient();
    const { autoOrient } = await picture.metadata();
    await picture
        .composite([await layer(autoOrient.width, autoOrient.height)])
        .flatten()
        .jpeg({ quality: 85 })
        .toFile(path.join(folder, name));
}

async function main() {
    fs.mkdirSync(folder, { recursive: true });
    const urls = fs.readFileSync(manifest, "utf8").split("\n").filter(Boolean);
    const composing = limit(Number(processes));
    let next = 0;
    let uploaded = 0;
    let failed = 0;
    async function work() {
        while (next < urls.length) {
            const url = urls[next];
            next += 1;
            const name = `${crypto.createHash("sha256").update(url).digest("hex").slice(0, 16)}.jpg`;
            try {
                const data = await fetched(url);
                await composing(() => compose(data, name));
                uploaded += 1;
            } catch (error) {
                failed += 1;
                console.error(error.message);
            }
        }
    }
    await Promise.all(Array.from({ length: Number(downloads) }, work));
    console.log(JSON.stringify({ uploaded, failed }));
    agent.destroy();
}

main();
