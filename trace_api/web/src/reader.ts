// Bar codes out of pixels: zxing-cpp as WebAssembly, in a bundle of its own, since most visits scan nothing.

import { prepareZXingModule, readBarcodes, type ReaderOptions } from "zxing-wasm/reader";

/** The decoder's binary, beside this bundle. */
declare const READER_WASM: string;

const OPTIONS: ReaderOptions = {
  formats: ["QRCode", "DataMatrix", "Code128", "EAN13", "EAN8", "UPCA", "ITF", "PDF417", "DataBar", "DataBarExp"],
  maxNumberOfSymbols: 1,
  textMode: "HRI", // GS1 element strings with their brackets, everything else as it is
};

prepareZXingModule({ overrides: { locateFile: () => new URL(READER_WASM, import.meta.url).href } });

/** The text of the first code in the picture, or null. Fails where the binary cannot be fetched. */
export async function read(picture: ImageData): Promise<string | null> {
  const found = await readBarcodes(picture, OPTIONS);
  return found.find((each) => each.text !== "")?.text ?? null;
}
