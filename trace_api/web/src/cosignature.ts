// Cosignatures of a checkpoint: what a witness, or the log's own clock, says of it and when. c2sp.org/tlog-cosignature.
//
// Contract: a note and a key in, the time of that key's line out, or VerifyError. Ed25519 (0x04) and ML-DSA-44 (0x06).

import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";

import { concat, utf8 } from "./bytes";
import { type Method, verifySignature } from "./ed25519";
import { VerifyError, wantSame } from "./errors";
import { linesOf, noLine, parseKey, type SignedCheckpoint, type VerifierKey } from "./note";

export const ED25519_COSIGNATURE = 0x04;
const ML_DSA_44 = 0x06;
export const KEY_SIZES: ReadonlyMap<number, number> = new Map([[ED25519_COSIGNATURE, 32], [ML_DSA_44, 1312]]);
const SIGNATURE_SIZES: ReadonlyMap<number, number> = new Map([[ED25519_COSIGNATURE, 64], [ML_DSA_44, 2420]]);
const TIME_SIZE = 8;
const LAST_TIME = 2n ** 63n - 1n;

/** `time`: POSIX seconds, as the cosigner says. */
export interface Cosignature {
  readonly time: bigint;
  readonly method: Method;
}

/** `name+hash+base64` of a witness. */
export function parseCosigner(vkey: string): VerifierKey {
  return parseKey(vkey, KEY_SIZES);
}

/** The newest line of that key. One bad line of it spoils the note, however many good ones stand beside it. */
export async function openCosignature(head: SignedCheckpoint, key: VerifierKey): Promise<Cosignature> {
  let newest: Cosignature | null = null;
  for (const line of linesOf(head.note, key)) {
    const found = await verifyLine(head, key, line.signature);
    if (newest === null || found.time > newest.time) newest = found;
  }
  if (newest === null) throw noLine(head.note, key);
  return newest;
}

async function verifyLine(head: SignedCheckpoint, key: VerifierKey, signature: Uint8Array): Promise<Cosignature> {
  const size = SIGNATURE_SIZES.get(key.algorithm) ?? 0;
  wantSame(`length of the cosignature by ${key.name}`, signature.length, TIME_SIZE + size);
  const time = new DataView(signature.buffer, signature.byteOffset).getBigUint64(0);
  if (time > LAST_TIME) throw new VerifyError("time of the cosignature", time, `at most ${LAST_TIME}`);
  const proof = signature.slice(TIME_SIZE);
  const answer = key.algorithm === ML_DSA_44
    ? verifyMlDsa(key, head, time, proof)
    : await verifySignature(key.publicKey, utf8(`cosignature/v1\ntime ${time}\n${head.note.text}`), proof);
  if (!answer.fits) throw new VerifyError("cosignature", "one that does not fit", `one by ${key.name}`);
  return { time, method: answer.method };
}

function verifyMlDsa(key: VerifierKey, head: SignedCheckpoint, time: bigint, proof: Uint8Array): { fits: boolean; method: Method } {
  const message = concat(
    utf8("subtree/v1\n\0"), short(key.name, "name of the cosigner"), uint64(time),
    short(head.origin, "origin of the checkpoint"), uint64(0n), uint64(head.size), head.rootHash,
  );
  try {
    return { fits: ml_dsa44.verify(proof, message, key.publicKey), method: "ml-dsa" };
  } catch {
    return { fits: false, method: "ml-dsa" };
  }
}

/** A text of 1 to 255 bytes behind its length. */
function short(text: string, what: string): Uint8Array {
  const bytes = utf8(text);
  if (bytes.length < 1 || bytes.length > 255) throw new VerifyError(`length of the ${what}`, bytes.length, "1 to 255 bytes");
  return concat(Uint8Array.of(bytes.length), bytes);
}

function uint64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}
