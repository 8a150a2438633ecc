// Ed25519, by the browser where it can (a secure context, and the algorithm is there), else by the library in the bundle.

import { ed25519 } from "@noble/curves/ed25519.js";

/** Who checked a signature: the browser, @noble/curves, or (ML-DSA-44) @noble/post-quantum. */
export type Method = "webcrypto" | "library" | "ml-dsa";

/** Whether `signature` (64 bytes) by `publicKey` (32 bytes) fits `message`, and who says so. */
export interface Answer {
  readonly fits: boolean;
  readonly method: Method;
}

export async function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<Answer> {
  const key = await importKey(publicKey);
  if (key !== null) {
    const fits = await crypto.subtle.verify("Ed25519", key, buffer(signature), buffer(message));
    return { fits, method: "webcrypto" };
  }
  return { fits: verifyWithLibrary(publicKey, message, signature), method: "library" };
}

/** null where the browser has no Ed25519; a browser that has it may refuse this key, and then the library says why not. */
async function importKey(publicKey: Uint8Array): Promise<CryptoKey | null> {
  if (typeof crypto === "undefined" || crypto.subtle === undefined) return null; // no secure context
  try {
    return await crypto.subtle.importKey("raw", buffer(publicKey), "Ed25519", false, ["verify"]);
  } catch {
    return null;
  }
}

function verifyWithLibrary(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return ed25519.verify(signature, message, publicKey, { zip215: false }); // RFC 8032, as browsers do
  } catch {
    return false; // bytes that are no point of the curve
  }
}

function buffer(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer;
}
