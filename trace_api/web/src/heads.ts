// The signed heads that a file stands on: the root log's, each log's (in the root log, or beside it), and the changes of
// key between the one somebody trusts and the one that signed.
//
// Contract: checks go into `checks`, heads that verified into `heads`; a check that builds on a failed one is not made.

import type { Method } from "./ed25519";
import { type Entry, logPseudonym, parseEntry } from "./entry";
import { toHex, VerifyError, wantSame } from "./errors";
import type { Evidence, LeafEvidence, LogEvidence, Placed } from "./evidence";
import type { Facts } from "./facts";
import { leafHash, verifyInclusion } from "./merkle";
import { keyLabel, openCheckpoint, parseVkey, sameKey, type SignedCheckpoint, type VerifierKey } from "./note";
import type { Checks } from "./report";
import { leadsTo, openRotation } from "./rotation";
import type { Trust } from "./trust";

export class Heads {
  readonly byOrigin = new Map<string, SignedCheckpoint>();
  root: SignedCheckpoint | null = null;
  /** Entries of the root log that hold the file's checkpoints, each proven to be in it. */
  readonly anchors: Placed[] = [];
  private readonly evidence: Evidence;
  private readonly trust: Trust | null;
  private readonly checks: Checks;
  private readonly facts: Facts;

  constructor(evidence: Evidence, trust: Trust | null, checks: Checks, facts: Facts) {
    this.evidence = evidence;
    this.trust = trust;
    this.checks = checks;
    this.facts = facts;
  }

  async open(): Promise<void> {
    await this.openRoot();
    for (const log of this.evidence.logs) await this.openLog(log);
  }

  private async openRoot(): Promise<void> {
    const { root } = this.evidence;
    if (root === null) return;
    const about = { log: root.origin };
    const key = await this.checks.attempt(this.trust === null ? "own_key" : "root_key", about, () => this.chooseKey(root));
    if (key === null) return;
    const head = await this.checks.attempt("root_checkpoint", about, () => openCheckpoint(root.head, key.value, root.origin));
    if (head === null) return;
    this.root = head.value;
    this.facts.root = factOf(head.value, key.value, false);
    await this.checkRotations(root.origin, key.value);
  }

  private async openLog(log: LogEvidence): Promise<void> {
    const about = { log: log.origin };
    const key = await this.checks.attempt(this.trust === null ? "own_key" : "key", about, () => this.chooseKey(log));
    if (key === null) return;
    const { head } = log;
    const anchored = typeof head === "string"
      ? null
      : await this.checks.attempt("anchor", about, () => this.wantAnchor(head, log.origin));
    const note = typeof head === "string" ? head : noteIn(head);
    if (note === null) return;
    const opened = await this.checks.attempt("checkpoint", about, () => openCheckpoint(note, key.value, log.origin));
    if (opened === null) return;
    this.byOrigin.set(log.origin, opened.value);
    this.facts.logs.push(factOf(opened.value, key.value, anchored !== null));
    await this.checkRotations(log.origin, key.value);
  }

  private async chooseKey(log: { readonly origin: string; readonly vkey: string }): Promise<VerifierKey> {
    const key = parseVkey(log.vkey);
    wantSame("name of the log's key", key.name, log.origin);
    if (this.trust === null) return key;
    const known = this.trust.logs.get(log.origin) ?? [];
    const [first] = known;
    if (first === undefined) throw new VerifyError("log", log.origin, [...this.trust.logs.keys()].join(", ") || "a trusted log");
    for (const each of known) if (await leadsTo(each, key, this.keysOf(log.origin))) return key;
    throw new VerifyError("the log's key", keyLabel(key), keyLabel(first));
  }

  private wantAnchor(placed: Placed, origin: string): void {
    const root = this.root;
    if (root === null) throw new VerifyError("root log", "nothing", "a root log whose checkpoint verified");
    const entry = openRootEntry(placed, root);
    if (entry.anchor?.kind !== "checkpoint") throw new VerifyError("body of the anchor", "no checkpoint", "a checkpoint");
    wantSame("origin of the anchored checkpoint", entry.anchor.checkpoint.origin, origin);
    this.anchors.push(placed);
    this.facts.saw(entry.rec);
  }

  private async checkRotations(origin: string, key: VerifierKey): Promise<void> {
    const entries = this.keysOf(origin);
    let follows: VerifierKey | null = null;
    for (const [at, each] of entries.entries()) {
      const before: VerifierKey | null = follows;
      const last = at === entries.length - 1 ? key : null;
      await this.checks.attempt("rotation", { log: origin }, async () => {
        this.wantIncluded(each);
        const body = await openRotation(each.entry, origin);
        follows = body.new;
        if (before !== null) wantKey("old key of the rotation", body.old, before);
        if (last !== null) wantKey("new key of the last rotation", body.new, last);
      });
    }
  }

  private wantIncluded(each: LeafEvidence): void {
    const entry = parseEntry(each.entry);
    wantSame("type of the entry", entry.type, "key");
    wantSame("pseudonym of the log", entry.org, logPseudonym(each.log));
    const head = this.byOrigin.get(each.log) ?? (this.root?.origin === each.log ? this.root : undefined);
    if (head === undefined) throw new VerifyError("log of the entry", each.log, "a log whose checkpoint verified");
    verifyInclusion(leafHash(each.entry), each.index, head.size, each.proof, head.rootHash);
    this.facts.saw(entry.rec);
  }

  /** Who checked the signatures of the heads. */
  get methods(): Method[] {
    return [...(this.root === null ? [] : [this.root]), ...this.byOrigin.values()].map((head) => head.method);
  }

  private keysOf(origin: string): readonly LeafEvidence[] {
    return this.evidence.keys.filter((each) => each.log === origin);
  }
}

function wantKey(what: string, got: VerifierKey, want: VerifierKey): void {
  if (!sameKey(got, want)) throw new VerifyError(what, keyLabel(got), keyLabel(want));
}

/** An anchor of the root log, proven to be in it, or VerifyError. */
export function openRootEntry(placed: Placed, root: SignedCheckpoint): Entry {
  const entry = parseEntry(placed.entry);
  wantSame("type of the entry", entry.type, "anchor");
  wantSame("pseudonym of the root log", entry.org, logPseudonym(root.origin));
  verifyInclusion(leafHash(placed.entry), placed.index, root.size, placed.proof, root.rootHash);
  return entry;
}

/** The note inside an anchor, whatever else is wrong with it: a spoiled root names itself only. */
function noteIn(placed: Placed): string | null {
  try {
    const { anchor } = parseEntry(placed.entry);
    return anchor?.kind === "checkpoint" ? anchor.text : null;
  } catch (error) {
    if (error instanceof VerifyError) return null;
    throw error;
  }
}

function factOf(head: SignedCheckpoint, key: VerifierKey, anchored: boolean): Facts["logs"][number] {
  return { origin: head.origin, keyId: toHex(key.keyId), size: head.size, rootHash: head.rootHash, anchored };
}
