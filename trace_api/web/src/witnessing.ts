// Who else saw the root log, and when: its own clock, witnesses, time-stamping authorities, and whether they are as many as
// the reader's policy asks for. Runs last, since a cosignature cannot be older than what it covers.

import { utf8 } from "./bytes";
import { type Cosignature, ED25519_COSIGNATURE, openCosignature, parseCosigner } from "./cosignature";
import type { Method } from "./ed25519";
import { sameBytes, VerifyError, wantSame } from "./errors";
import type { Evidence, Placed, Stamp, Witness } from "./evidence";
import type { Facts } from "./facts";
import { type Heads, openRootEntry } from "./heads";
import { sha256, verifyConsistency } from "./merkle";
import { checkpointText, keyLabel, sameKey, type SignedCheckpoint, type VerifierKey } from "./note";
import type { Checks } from "./report";
import { readToken } from "./timestamp";
import { isWitness, parseLogKey, type Policy, type Trust, wantQuorum } from "./trust";

/** How far a witness's clock may be behind the log's. */
const TOLERANCE_MS = 300_000n;

export class Witnessing {
  private readonly root: SignedCheckpoint | null;
  private readonly anchors: readonly Placed[];
  private readonly trust: Trust | null;
  private readonly checks: Checks;
  private readonly facts: Facts;
  readonly methods = new Set<Method>();

  constructor(heads: Heads, trust: Trust | null, checks: Checks, facts: Facts) {
    this.root = heads.root;
    this.anchors = heads.anchors;
    this.trust = trust;
    this.checks = checks;
    this.facts = facts;
  }

  async check(evidence: Evidence): Promise<void> {
    const { root } = this;
    if (root !== null) {
      const clock = evidence.root?.clock ?? null;
      if (clock !== null) await this.checkClock(root, clock);
      const own = ownKeys(evidence);
      for (const witness of evidence.witnesses) await this.checkWitness(root, witness, own);
      for (const stamp of evidence.stamps) this.checkStamp(root, stamp, evidence.logs.length);
    }
    const policy = this.trust?.policy ?? null;
    if (policy !== null) await this.checks.attempt("quorum", {}, () => this.wantQuorum(policy));
  }

  private async checkClock(root: SignedCheckpoint, vkey: string): Promise<void> {
    const { origin } = root;
    const found = await this.checks.attempt("clock", { log: origin }, () => {
      const key = parseCosigner(vkey);
      wantSame("name of the clock's key", key.name, `${origin}/clock`);
      wantSame("algorithm of the clock's key", key.algorithm, ED25519_COSIGNATURE);
      const known = this.trust?.clocks.get(key.name) ?? key;
      if (!sameKey(key, known)) throw new VerifyError("the clock's key", keyLabel(key), keyLabel(known));
      return this.cosigned(root, key);
    });
    this.facts.clock = found?.value.time ?? null;
    this.facts.clockKnown = this.trust?.clocks.has(`${origin}/clock`) ?? false;
  }

  private async checkWitness(root: SignedCheckpoint, witness: Witness, own: readonly Uint8Array[]): Promise<void> {
    const who = witness.vkey.split("+", 1)[0] ?? "";
    const found = await this.checks.attempt("cosignature", { log: root.origin, who }, async () => {
      const key = parseCosigner(witness.vkey);
      if (own.some((each) => sameBytes(each, key.publicKey))) throw new VerifyError("key of the witness", "the log's own", "another's");
      return { key, time: (await this.cosigned(root, key)).time };
    });
    if (found === null) return;
    const { operator, relation } = witness;
    const { key, time } = found.value;
    this.facts.witnesses.push({ vkey: witness.vkey, name: key.name, operator, relation, time, known: isWitness(this.trust?.policy ?? null, key) });
  }

  private async cosigned(root: SignedCheckpoint, key: VerifierKey): Promise<Cosignature> {
    const found = await openCosignature(root, key);
    const newest = BigInt(this.facts.newest ?? 0);
    if (found.time * 1000n < newest - TOLERANCE_MS) {
      throw new VerifyError(`time of the cosignature by ${key.name}`, found.time, `after ${newest} ms, less 5 minutes`);
    }
    this.methods.add(found.method);
    return found;
  }

  private checkStamp(root: SignedCheckpoint, stamp: Stamp, logs: number): void {
    const about = { log: root.origin };
    try {
      const who = this.wantStamp(root, stamp, logs);
      this.checks.add("timestamp", "unknown", { ...about, who });
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      this.checks.add("timestamp", "failed", about, `${error.what}: ${error.got}`, error.want);
    }
  }

  /** The authority's name, if everything fits but its signature, which is not looked at. */
  private wantStamp(root: SignedCheckpoint, stamp: Stamp, logs: number): string {
    const { anchor } = openRootEntry(stamp, root);
    if (anchor?.kind !== "timestamp") throw new VerifyError("body of the anchor", "no time stamp", "a time stamp");
    wantSame("hash of the token", sha256(stamp.token), anchor.token);
    verifyConsistency(BigInt(anchor.size), anchor.root, root.size, root.rootHash, stamp.consistency);
    const token = readToken(stamp.token);
    wantSame("imprint of the token", token.imprint, sha256(utf8(checkpointText(root.origin, anchor.size, anchor.root))));
    wantSame("time of the token", token.time, anchor.time);
    const covers = this.anchors.length === logs && this.anchors.every((placed) => placed.index < anchor.size);
    this.facts.stamps.push({ authority: anchor.authority, time: token.time, covers });
    return anchor.authority;
  }

  private async wantQuorum(policy: Policy): Promise<void> {
    const cosigners: VerifierKey[] = [];
    for (const key of policy.witnesses.values()) {
      if (this.root !== null && (await this.holds(this.root, key))) cosigners.push(key);
    }
    wantQuorum(policy, cosigners);
  }

  private async holds(root: SignedCheckpoint, key: VerifierKey): Promise<boolean> {
    try {
      await this.cosigned(root, key);
      return true;
    } catch (error) {
      if (error instanceof VerifyError) return false;
      throw error;
    }
  }
}

/** Public keys of those that a witness is to watch: nobody is a witness of himself. */
function ownKeys({ root, logs }: Evidence): Uint8Array[] {
  return [root?.vkey, root?.clock, ...logs.map((log) => log.vkey)].flatMap((vkey) => {
    try {
      return [parseLogKey(vkey ?? "").publicKey];
    } catch (error) {
      if (error instanceof VerifyError) return [];
      throw error;
    }
  });
}
