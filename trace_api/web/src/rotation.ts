// A log's change of keys: `key` entries that lead from a key somebody trusts to the one that signs today.
//
// Contract: an entry counts only if both keys signed for the change; then the old key vouches for the new one, whatever
// the log that holds the entry is worth.

import { utf8 } from "./bytes";
import { verifySignature } from "./ed25519";
import { parseEntry } from "./entry";
import type { KeyBody } from "./entry_bodies";
import { VerifyError, wantSame } from "./errors";
import type { LeafEvidence } from "./evidence";
import { keyLabel, sameKey, type VerifierKey } from "./note";

/** The body of a `key` entry of the log `origin` that both keys signed, or VerifyError. */
export async function openRotation(data: Uint8Array, origin: string): Promise<KeyBody> {
  const entry = parseEntry(data);
  if (entry.key === null) throw new VerifyError("type of the entry", entry.type, "key");
  const body = entry.key;
  wantSame("name of the log's key", body.old.name, origin);
  const message = utf8(`suyuan/key/v1\n${origin}\n${body.oldText}\n${body.newText}\n`);
  for (const [key, signature, which] of [[body.old, body.sigOld, "old"], [body.new, body.sigNew, "new"]] as const) {
    const answer = await verifySignature(key.publicKey, message, signature);
    if (!answer.fits) throw new VerifyError(`signature of the ${which} key`, "one that does not fit", `one by ${keyLabel(key)}`);
  }
  return body;
}

/** Whether the entries, in their order, lead from `trusted` to `key`. */
export async function leadsTo(
  trusted: VerifierKey, key: VerifierKey, entries: readonly LeafEvidence[],
): Promise<boolean> {
  let held = trusted;
  if (sameKey(held, key)) return true;
  for (const each of entries) {
    try {
      const body = await openRotation(each.entry, key.name);
      if (sameKey(body.old, held)) held = body.new;
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
    }
  }
  return sameKey(held, key);
}
