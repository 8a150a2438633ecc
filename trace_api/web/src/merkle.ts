// The RFC 6962 tree, from the sceptic's side: leaves or a proof in, a root out.
//
// SHA-256 is the library's, not WebCrypto's, which is not there over plain http and is asynchronous: for the 65 bytes of a
// node the two are equally fast (6 to 8 microseconds in Chromium), and so there is one path, the same on every phone.

import { sha256 as digest } from "@noble/hashes/sha2.js";

import { concat } from "./bytes";
import { VerifyError, wantSame } from "./errors";
import { HASH_SIZE } from "./shape";

export function sha256(data: Uint8Array): Uint8Array {
  return digest(data);
}

export function leafHash(data: Uint8Array): Uint8Array {
  return digest(concat(Uint8Array.of(0), data));
}

function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return digest(concat(Uint8Array.of(1), left, right));
}

/** The root over leaf hashes, by the RFC's own recursion. */
export function rootOf(leaves: readonly Uint8Array[]): Uint8Array {
  const [only] = leaves;
  if (only === undefined) return digest(new Uint8Array(0));
  if (leaves.length === 1) return only;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(rootOf(leaves.slice(0, split)), rootOf(leaves.slice(split)));
}

/** Leaf `index` of the tree of `size` leaves under `root` is `leaf`, or VerifyError. RFC 9162, 2.1.3.2. */
export function verifyInclusion(leaf: Uint8Array, index: number, size: bigint, proof: readonly Uint8Array[], root: Uint8Array): void {
  let at = BigInt(index);
  if (at >= size) throw new VerifyError("leaf index", index, size > 0n ? `0 to ${size - 1n}` : "no leaf in an empty tree");
  for (const hash of proof) wantSame("length of a hash", hash.length, HASH_SIZE);
  let node = leaf;
  let last = size - 1n;
  let used = 0;
  while (last > 0n) {
    const right = (at & 1n) === 1n;
    // At the ragged right edge a node without a sibling rises unchanged: it costs a level but no hash.
    if (right || at < last) {
      const sibling = proof[used];
      if (sibling === undefined) throw new VerifyError("inclusion proof length", proof.length, "more");
      node = right ? nodeHash(sibling, node) : nodeHash(node, sibling);
      used += 1;
    }
    at >>= 1n;
    last >>= 1n;
  }
  wantSame("inclusion proof length", proof.length, used);
  wantSame("root hash from inclusion proof", node, root);
}

/** The tree of `size` leaves under `root` extends that of `first` leaves under `firstRoot`, or VerifyError. RFC 9162, 2.1.4.2. */
export function verifyConsistency(
  first: bigint, firstRoot: Uint8Array, size: bigint, root: Uint8Array, proof: readonly Uint8Array[],
): void {
  if (first < 1n || first > size) throw new VerifyError("size of the earlier tree", first, `1 to ${size}`);
  if (first === size) {
    wantSame("consistency proof length", proof.length, 0);
    wantSame("root hash of the earlier tree", firstRoot, root);
    return;
  }
  let [at, last] = [first - 1n, size - 1n];
  while ((at & 1n) === 1n) [at, last] = [at >> 1n, last >> 1n];
  const whole = (first & (first - 1n)) === 0n; // then the earlier root is itself a node of the later tree
  const path = whole ? [firstRoot, ...proof] : proof;
  let [earlier, later] = [path[0], path[0]];
  if (earlier === undefined || later === undefined) throw new VerifyError("consistency proof length", 0, "more");
  for (const sibling of path.slice(1)) {
    if (last === 0n) throw new VerifyError("consistency proof length", proof.length, "less");
    if ((at & 1n) === 1n || at === last) {
      earlier = nodeHash(sibling, earlier);
      later = nodeHash(sibling, later);
      while ((at & 1n) === 0n && at !== 0n) [at, last] = [at >> 1n, last >> 1n];
    } else {
      later = nodeHash(later, sibling);
    }
    [at, last] = [at >> 1n, last >> 1n];
  }
  if (last !== 0n) throw new VerifyError("consistency proof length", proof.length, "more");
  wantSame("earlier root hash from consistency proof", earlier, firstRoot);
  wantSame("root hash from consistency proof", later, root);
}
