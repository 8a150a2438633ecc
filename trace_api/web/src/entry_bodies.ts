// The bodies of entries that say something of one thing: an anchor in the root log, a key, a freeze, an erasure.
//
// Contract: each is read strictly, exactly its members, each in its one form, or VerifyError. What a body means beyond its
// form (that a signature holds, that a checkpoint is included) is checked by whoever relies on it.

import { VerifyError } from "./errors";
import { type JsonObject } from "./json";
import { type Checkpoint, type Note, parseCheckpoint, parseVkey, readNote, sameKey, type VerifierKey } from "./note";
import { bytes, HASH_SIZE, list, members, natural, text } from "./shape";

const MAX_TEXT = 200;
const MAX_PERSONS = 100;
const PERSON_SIZE = 16;
const SIGNATURE_SIZE = 64;
const ERASURE_REASONS: readonly string[] = ["request", "order", "retention"];

/** A log's checkpoint in the root log, with the log's own signature lines and no others. */
export interface CheckpointAnchor {
  readonly kind: "checkpoint";
  readonly text: string;
  readonly note: Note;
  readonly checkpoint: Checkpoint;
}

/** An authority's time stamp over a checkpoint of the root log. `time`: UTC ms; `token`: SHA-256 of the token. */
export interface TimestampAnchor {
  readonly kind: "timestamp";
  readonly size: number;
  readonly root: Uint8Array;
  readonly time: number;
  readonly authority: string;
  readonly token: Uint8Array;
}

/** A log's new key, signed for by the old one and by itself (rotation.ts checks that). */
export interface KeyBody {
  readonly oldText: string;
  readonly newText: string;
  readonly old: VerifierKey;
  readonly new: VerifierKey;
  readonly sigOld: Uint8Array;
  readonly sigNew: Uint8Array;
}

export function readAnchor(value: JsonObject): CheckpointAnchor | TimestampAnchor {
  return value.has("timestamp") ? readTimestampAnchor(value) : readCheckpointAnchor(value);
}

function readCheckpointAnchor(value: JsonObject): CheckpointAnchor {
  members(value, ["checkpoint"], "anchor body");
  const whole = text(value.get("checkpoint"), "checkpoint");
  const note = readNote(whole);
  const checkpoint = parseCheckpoint(note.text);
  for (const line of note.lines) {
    if (line.name !== checkpoint.origin || line.signature.length !== SIGNATURE_SIZE) {
      throw new VerifyError("signature of the checkpoint", `one by ${line.name}`, "the log's own");
    }
  }
  return { kind: "checkpoint", text: whole, note, checkpoint };
}

function readTimestampAnchor(value: JsonObject): TimestampAnchor {
  members(value, ["timestamp"], "anchor body");
  const stamp = members(value.get("timestamp"), ["size", "root", "time", "authority", "token"], "timestamp");
  return {
    kind: "timestamp",
    size: natural(stamp.get("size"), "size"),
    root: bytes(stamp.get("root"), "root", HASH_SIZE),
    time: natural(stamp.get("time"), "time"),
    authority: sentence(stamp.get("authority"), "authority"),
    token: bytes(stamp.get("token"), "token", HASH_SIZE),
  };
}

export function readKeyBody(value: JsonObject): KeyBody {
  members(value, ["old", "new", "sig_old", "sig_new"], "key body");
  const [oldText, newText] = [text(value.get("old"), "old"), text(value.get("new"), "new")];
  const [old, made] = [parseVkey(oldText), parseVkey(newText)];
  if (old.name !== made.name || sameKey(old, made)) throw new VerifyError("new key", newText, `another one of ${old.name}`);
  const sigOld = bytes(value.get("sig_old"), "sig_old", SIGNATURE_SIZE);
  const sigNew = bytes(value.get("sig_new"), "sig_new", SIGNATURE_SIZE);
  return { oldText, newText, old, new: made, sigOld, sigNew };
}

export function readFreezeBody(value: JsonObject): void {
  members(value, ["reason"], "freeze body");
  sentence(value.get("reason"), "reason");
}

export function readErasureBody(value: JsonObject): void {
  members(value, ["persons", "reason"], "erasure body");
  const persons = list(value.get("persons"), "persons");
  if (persons.length < 1 || persons.length > MAX_PERSONS) {
    throw new VerifyError("persons", persons.length, `1 to ${MAX_PERSONS}`);
  }
  const reason = text(value.get("reason"), "reason");
  if (!ERASURE_REASONS.includes(reason)) throw new VerifyError("reason", reason, ERASURE_REASONS.join(", "));
  for (const person of persons) bytes(person, "person", PERSON_SIZE);
  if (new Set(persons).size !== persons.length) throw new VerifyError("persons", "one of them twice", "each once");
}

/** 1 to 200 code points, none of them a control character: it will stand on somebody's page. */
function sentence(value: Parameters<typeof text>[0], what: string): string {
  const found = text(value, what);
  const length = [...found].length;
  if (length < 1 || length > MAX_TEXT) throw new VerifyError(`length of ${what}`, length, `1 to ${MAX_TEXT} characters`);
  if (/[\u0000-\u001f\u007f-\u009f]/.test(found)) throw new VerifyError(what, "control characters", "printable text");
  return found;
}
