// The forms in which an evidence file comes: plain JSON, gzip, or the page that carries it.
//
// Contract: any bytes give the JSON inside or a VerifyError; what is unpacked is bounded, so a small file cannot fill the
// memory. A browser that cannot unpack says so.

import { concat, decodeUtf8 } from "./bytes";
import { VerifyError } from "./errors";

/** Bytes of a file, and of what it unpacks to. */
export const MAX_FILE_SIZE = 64 * 2 ** 20;
const BLOCK_END = "</script>";

/** `statement`: what the issuer says beside it, where the file is a page that carries it. */
export interface Opened {
  readonly evidence: string;
  readonly statement: string | null;
}

export async function unpacked(data: Uint8Array | string): Promise<Opened> {
  wantShort(data.length, "length of the evidence file");
  const text = typeof data === "string" ? data : decodeUtf8(isGzip(data) ? await inflated(data) : data, "evidence file");
  if (!/^[^\S\ufeff]*</.test(text)) return { evidence: text, statement: null };
  return { evidence: block(text, "evidence"), statement: statementIn(text) };
}

/** Nothing is proven by it, so a page without one is whole. */
function statementIn(page: string): string | null {
  try {
    return block(page, "statement");
  } catch (error) {
    if (error instanceof VerifyError) return null;
    throw error;
  }
}

function isGzip(data: Uint8Array): boolean {
  return data[0] === 0x1f && data[1] === 0x8b;
}

/** One gzip member and nothing after it: the stream refuses whatever follows. */
async function inflated(data: Uint8Array): Promise<Uint8Array> {
  if (typeof DecompressionStream === "undefined") {
    throw new VerifyError("gzip of the evidence file", "a browser that cannot unpack it", "a newer browser, or the file unpacked");
  }
  const reader = new Blob([data.slice().buffer as ArrayBuffer]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return concat(...parts);
      parts.push(value);
      length += value.length;
      wantShort(length, "length of the unpacked evidence file");
    }
  } catch (error) {
    if (error instanceof VerifyError) {
      void reader.cancel().catch(() => undefined);
      throw error;
    }
    throw new VerifyError("gzip of the evidence file", "one that does not unpack", "one whole member and nothing after it");
  }
}

/** The JSON inside the page. The page writes `<` as an escape there, so nothing in it ends the block. */
function block(page: string, id: string): string {
  const [, rest, ...more] = page.split(`<script type="application/json" id="${id}">`);
  if (rest === undefined || more.length > 0) {
    throw new VerifyError(`${id} blocks of the page`, rest === undefined ? 0 : more.length + 1, 1);
  }
  const end = rest.indexOf(BLOCK_END);
  const text = rest.slice(0, Math.max(end, 0));
  if (end < 0 || text.includes("<")) {
    throw new VerifyError(`${id} block of the page`, "'<' inside, or no end", "JSON and </script>");
  }
  return text;
}

function wantShort(length: number, what: string): void {
  if (length > MAX_FILE_SIZE) throw new VerifyError(what, length, `at most ${MAX_FILE_SIZE}`);
}
