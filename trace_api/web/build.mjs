// Bundles src/ into the folder given as the first argument: scripts, style and icon under names that change with their
// contents, and a manifest that says which they are.

import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const source = fileURLToPath(new URL("./src/", import.meta.url));
const dist = process.argv[2] ?? "dist";

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

const contents = {
  script: ["verify", "js", await bundle("main.ts", { format: "esm", target: ["es2020"] })],
  work: ["work", "js", await bundle("work.ts", { format: "esm", target: ["es2020"] })],
  style: ["style", "css", await bundle("pages.css", { target: ["chrome90", "safari14"] })],
  icon: ["icon", "svg", await readFile(join(source, "icon.svg"))],
};

await mkdir(dist, { recursive: true });
const manifest = {};
for (const [name, [stem, ending, bytes]] of Object.entries(contents)) {
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  manifest[name] = `${stem}-${hash}.${ending}`;
  await writeFile(join(dist, manifest[name]), bytes);
}
await writeFile(join(dist, "manifest.json"), JSON.stringify(manifest, null, 1) + "\n");
