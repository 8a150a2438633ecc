// Bundles src/ into the folder given as the first argument: scripts, style and icon under names that change with their
// contents, and a manifest that says which they are. A script that fetches another file is told its name here. The evidence
// page's script and style stand inside of it: no module, and nothing that would have to be fetched.

import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const source = fileURLToPath(new URL("./src/", import.meta.url));
const dist = process.argv[2] ?? "dist";
const manifest = {};

async function bundle(entry, options) {
  const made = await build({
    entryPoints: [join(source, entry)],
    bundle: true,
    minify: true,
    write: false,
    legalComments: "inline",
    charset: "utf8",
    logLevel: "warning",
    ...options,
  });
  return made.outputFiles[0].contents;
}

async function script(entry, names = {}) {
  const define = Object.fromEntries(Object.entries(names).map(([name, file]) => [name, JSON.stringify(`./${file}`)]));
  return bundle(entry, { format: "esm", target: ["es2020"], define });
}

async function put(key, stem, ending, bytes) {
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  manifest[key] = `${stem}-${hash}.${ending}`;
  await writeFile(join(dist, manifest[key]), bytes);
  return manifest[key];
}

await mkdir(dist, { recursive: true });
const binary = fileURLToPath(import.meta.resolve("zxing-wasm/reader/zxing_reader.wasm"));
const wasm = await put("wasm", "reader", "wasm", await readFile(binary));
const reader = await put("reader", "reader", "js", await script("reader.ts", { READER_WASM: wasm }));
await put("work", "work", "js", await script("work.ts", { READER: reader }));
await put("script", "verify", "js", await script("main.ts"));
const inline = { format: "iife", target: ["es2020"] };
await put("evidence", "evidence", "js", await bundle("offline/offline.ts", inline));
await put("evidence_style", "evidence", "css", await bundle("offline.css", { target: ["chrome90", "safari14"] }));
await put("style", "style", "css", await bundle("pages.css", { target: ["chrome90", "safari14"] }));
await put("icon", "icon", "svg", await readFile(join(source, "icon.svg")));
await writeFile(join(dist, "manifest.json"), JSON.stringify(manifest, null, 1) + "\n");
