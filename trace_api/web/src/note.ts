// Signed notes and the checkpoints in them: c2sp.org/signed-note, c2sp.org/tlog-checkpoint.
//
// Contract: text in, a note, a key or a checkpoint out, or VerifyError. A line by a key that nobody asked about proves
// nothing and is no error; a line by one that was asked about must fit.

import { concat, fromBase64, toBase64, utf8 } from "./bytes";
import { type Method, verifySignature } from "./ed25519";
import { sameBytes, toHex, VerifyError, wantSame } from "./errors";
import { sha256 } from "./merkle";
import { HASH_SIZE } from "./shape";

export const ED25519 = 0x01;
const MAX_NOTE_SIZE = 1_000_000;
const MAX_SIGNATURES = 100;
const MAX_SIZE = 2n ** 63n - 1n;
const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** A public key and the name it speaks for. `algorithm`: the byte before the key in its text form. */
export interface VerifierKey {
  readonly name: string;
  readonly algorithm: number;
  readonly publicKey: Uint8Array;
  readonly keyId: Uint8Array;
}

export interface Checkpoint {
  readonly origin: string;
  readonly size: bigint;
  readonly rootHash: Uint8Array;
}

/** A checkpoint with the note that proved it, and who did the proving. */
export interface SignedCheckpoint extends Checkpoint {
  readonly note: Note;
  readonly method: Method;
}

export interface SignatureLine {
  readonly name: string;
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
}

/** `text` ends in a newline and is what is signed. */
export interface Note {
  readonly text: string;
  readonly lines: readonly SignatureLine[];
}

/** `name+hash+base64` as a log publishes it. */
export function parseVkey(key: string): VerifierKey {
  return parseKey(key, new Map([[ED25519, HASH_SIZE]]));
}

/** A key of one of the algorithms, each with the length of its public keys in bytes. */
export function parseKey(key: string, lengths: ReadonlyMap<number, number>): VerifierKey {
  const [name = "", hash = "", ...rest] = key.split("+");
  if (rest.length === 0 || !isName(name)) throw new VerifyError("verifier key", "another form", "name+hash+base64");
  const data = fromBase64(rest.join("+"), "verifier key");
  const algorithm = data[0] ?? 0;
  const length = lengths.get(algorithm);
  if (length === undefined) {
    throw new VerifyError("algorithm of the verifier key", algorithm, [...lengths.keys()].join(" or "));
  }
  wantSame("length of the verifier key", data.length, 1 + length);
  const made = verifierKey(name, algorithm, data.slice(1));
  wantSame("hash of the verifier key", hash, toHex(made.keyId));
  return made;
}

export function verifierKey(name: string, algorithm: number, publicKey: Uint8Array): VerifierKey {
  const keyId = sha256(concat(utf8(`${name}\n`), Uint8Array.of(algorithm), publicKey)).slice(0, 4);
  return { name, algorithm, publicKey, keyId };
}

export function sameKey(one: VerifierKey, other: VerifierKey): boolean {
  return one.name === other.name && one.algorithm === other.algorithm && sameBytes(one.publicKey, other.publicKey);
}

/** What a signature line calls its key: readable, not proof. */
export function keyLabel(key: { readonly name: string; readonly keyId: Uint8Array }): string {
  return `${key.name}+${toHex(key.keyId)}`;
}

/** The checkpoint in a note that `key` signed, of the log `origin` only. */
export async function openCheckpoint(text: string, key: VerifierKey, origin: string): Promise<SignedCheckpoint> {
  const note = readNote(text);
  const [ours] = linesOf(note, key);
  if (ours === undefined) throw noLine(note, key);
  wantSame(`length of the signature by ${key.name}`, ours.signature.length, 64);
  const answer = await verifySignature(key.publicKey, utf8(note.text), ours.signature);
  if (!answer.fits) throw new VerifyError("signature", "one that does not fit", `one by ${key.name}`);
  const checkpoint = parseCheckpoint(note.text);
  wantSame("origin of the checkpoint", checkpoint.origin, origin);
  return { ...checkpoint, note, method: answer.method };
}

/** The lines that name that key; whether they fit is another question. */
export function linesOf(note: Note, key: VerifierKey): readonly SignatureLine[] {
  return note.lines.filter((line) => line.name === key.name && sameBytes(line.keyId, key.keyId));
}

export function noLine(note: Note, key: VerifierKey): VerifyError {
  return new VerifyError("signers of the note", note.lines.map(keyLabel).join(", "), keyLabel(key));
}

/** The text that is signed where a checkpoint has no extension lines. */
export function checkpointText(origin: string, size: number | bigint, rootHash: Uint8Array): string {
  return `${origin}\n${size}\n${toBase64(rootHash)}\n`;
}

export function readNote(note: string): Note {
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
  return { text: note.slice(0, at + 1), lines: lines.map(parseSignature) };
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

export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split("\n");
  if (lines.length < 4 || lines[lines.length - 1] !== "") {
    throw new VerifyError("lines of the checkpoint", lines.length - 1, "3 or more, each ended by a newline");
  }
  const [origin = "", size = "", root = "", ...extensions] = lines.slice(0, -1);
  if (origin === "") throw new VerifyError("origin of the checkpoint", "nothing", "the log's name");
  if (extensions.includes("")) throw new VerifyError("extension line of the checkpoint", "nothing", "text");
  const rootHash = fromBase64(root, "root hash of the checkpoint");
  wantSame("length of the checkpoint's root hash", rootHash.length, HASH_SIZE);
  return { origin, size: parseSize(size), rootHash };
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
