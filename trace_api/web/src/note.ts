// Signed notes and the checkpoints in them: c2sp.org/signed-note, c2sp.org/tlog-checkpoint.

import { concat, fromBase64, utf8 } from "./bytes";
import { type Method, verifySignature } from "./ed25519";
import { sameBytes, toHex, VerifyError, wantSame } from "./errors";
import { sha256 } from "./merkle";
import { HASH_SIZE } from "./shape";

const ED25519 = 1;
const MAX_NOTE_SIZE = 1_000_000;
const MAX_SIGNATURES = 100;
const MAX_SIZE = 2n ** 63n - 1n;
const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** A public key and the name it speaks for. */
export interface VerifierKey {
  readonly name: string;
  readonly publicKey: Uint8Array;
  readonly keyId: Uint8Array;
}

export interface Checkpoint {
  readonly origin: string;
  readonly size: bigint;
  readonly rootHash: Uint8Array;
  readonly method: Method;
}

interface SignatureLine {
  readonly name: string;
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
}

/** `name+hash+base64` as a log publishes it. */
export function parseVkey(key: string): VerifierKey {
  const [name = "", hash = "", ...rest] = key.split("+");
  if (rest.length === 0 || !isName(name)) throw new VerifyError("verifier key", "another form", "name+hash+base64");
  const data = fromBase64(rest.join("+"), "verifier key");
  wantSame("length of the verifier key", data.length, 1 + HASH_SIZE);
  wantSame("algorithm of the verifier key", data[0] ?? 0, ED25519);
  const publicKey = data.slice(1);
  const keyId = sha256(concat(utf8(`${name}\n`), data)).slice(0, 4);
  wantSame("hash of the verifier key", hash, toHex(keyId));
  return { name, publicKey, keyId };
}

/** The checkpoint in a note that `key` signed, of the log `origin` only. */
export async function openCheckpoint(note: string, key: VerifierKey, origin: string): Promise<Checkpoint> {
  const { text, lines } = splitNote(note);
  const signatures = lines.map(parseSignature);
  const ours = signatures.find((line) => line.name === key.name && sameBytes(line.keyId, key.keyId));
  if (ours === undefined) {
    const got = signatures.map((line) => `${line.name}+${toHex(line.keyId)}`).join(", ");
    throw new VerifyError("signers of the note", got, `${key.name}+${toHex(key.keyId)}`);
  }
  wantSame(`length of the signature by ${key.name}`, ours.signature.length, 64);
  const answer = await verifySignature(key.publicKey, utf8(text), ours.signature);
  if (!answer.fits) throw new VerifyError("signature", "one that does not fit", `one by ${key.name}`);
  const checkpoint = parseCheckpoint(text, answer.method);
  wantSame("origin of the checkpoint", checkpoint.origin, origin);
  return checkpoint;
}

function splitNote(note: string): { text: string; lines: string[] } {
  if (note.length > MAX_NOTE_SIZE) throw new VerifyError("length of the note", note.length, `at most ${MAX_NOTE_SIZE}`);
  if (/[\u0000-\u0009\u000b-\u001f]/.test(note)) {
    throw new VerifyError("note", "control characters", "printable text and newlines");
  }
  const at = note.lastIndexOf("\n\n");
  if (at < 0 || !note.endsWith("\n") || at + 2 === note.length) {
    throw new VerifyError("note", note, "text, an empty line, signature lines");
  }
  const lines = note.slice(at + 2, -1).split("\n");
  if (lines.length > MAX_SIGNATURES) throw new VerifyError("signature lines", lines.length, `at most ${MAX_SIGNATURES}`);
  return { text: note.slice(0, at + 1), lines };
}

function parseSignature(line: string): SignatureLine {
  const [dash, name = "", encoded, ...rest] = line.split(" ");
  if (dash !== "\u2014" || encoded === undefined || rest.length > 0 || !isName(name)) {
    throw new VerifyError("signature line", line, "\u2014 name base64");
  }
  const data = fromBase64(encoded, "signature line");
  if (data.length < 5) throw new VerifyError("length of the signature line", data.length, "5 bytes or more");
  return { name, keyId: data.slice(0, 4), signature: data.slice(4) };
}

function parseCheckpoint(text: string, method: Method): Checkpoint {
  const lines = text.split("\n");
  if (lines.length < 4 || lines[lines.length - 1] !== "") {
    throw new VerifyError("lines of the checkpoint", lines.length - 1, "3 or more, each ended by a newline");
  }
  const [origin = "", size = "", root = "", ...extensions] = lines.slice(0, -1);
  if (origin === "") throw new VerifyError("origin of the checkpoint", "nothing", "the log's name");
  if (extensions.includes("")) throw new VerifyError("extension line of the checkpoint", "nothing", "text");
  const rootHash = fromBase64(root, "root hash of the checkpoint");
  wantSame("length of the checkpoint's root hash", rootHash.length, HASH_SIZE);
  return { origin, size: parseSize(size), rootHash, method };
}

function parseSize(text: string): bigint {
  if (!/^(?:0|[1-9][0-9]{0,18})$/.test(text) || BigInt(text) > MAX_SIZE) {
    throw new VerifyError("tree size of the checkpoint", text, `0 to ${MAX_SIZE} in decimal`);
  }
  return BigInt(text);
}

function isName(name: string): boolean {
  return name !== "" && !name.includes("+") && !SPACE.test(name);
}
