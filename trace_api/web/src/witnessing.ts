// Who else saw the root log, and when: its own clock, witnesses, time-stamping authorities, and whether they are as many as
// the reader's policy asks for. Runs last, since a cosignature cannot be older than what it covers.

import { type Cosignature, ED25519_COSIGNATURE, openCosignature, parseCosigner } from "./cosignature";
import type { Method } from "./ed25519";
import { VerifyError, wantSame } from "./errors";
import type { Evidence, Placed, Stamp, Witness } from "./evidence";
import type { Facts } from "./facts";
import { openRootEntry } from "./heads";
import { sha256, verifyConsistency } from "./merkle";
import { checkpointText, type SignedCheckpoint, type VerifierKey } from "./note";
import type { Checks } from "./report";
import { readToken } from "./timestamp";
import { isWitness, type Policy, wantQuorum } from "./trust";
import { utf8 } from "./bytes";

/** How far a witness's clock may be behind the log's. */
const TOLERANCE_MS = 300_000n;

export class Witnessing {
  private readonly root: SignedCheckpoint;
  private readonly anchors: readonly Placed[];
  private readonly policy: Policy | null;
  private readonly checks: Checks;
  private readonly facts: Facts;
  private readonly methods: Set<Method>;

  constructor(
    root: SignedCheckpoint, anchors: readonly Placed[], policy: Policy | null, checks: Checks, facts: Facts, methods: Set<Method>,
  ) {
    this.root = root;
    this.anchors = anchors;
    this.policy = policy;
    this.checks = checks;
    this.facts = facts;
    this.methods = methods;
  }

  async check(evidence: Evidence): Promise<void> {
    const clock = evidence.root?.clock ?? null;
    if (clock !== null) await this.checkClock(clock);
    for (const witness of evidence.witnesses) await this.checkWitness(witness);
    for (const stamp of evidence.stamps) this.checkStamp(stamp);
  }

  private async checkClock(vkey: string): Promise<void> {
    const origin = this.root.origin;
    const found = await this.checks.attempt("clock", { log: origin }, () => {
      const key = parseCosigner(vkey);
      wantSame("algorithm of the clock's key", key.algorithm, ED25519_COSIGNATURE);
      wantSame("name of the clock's key", key.name, `${origin}/clock`);
      return this.cosigned(key);
    });
    this.facts.clock = found?.value.time ?? null;
  }

  private async checkWitness(witness: Witness): Promise<void> {
    const who = witness.vkey.split("+", 1)[0] ?? "";
    const found = await this.checks.attempt("cosignature", { log: this.root.origin, who }, async () => {
      const key = parseCosigner(witness.vkey);
      return { key, time: (await this.cosigned(key)).time };
    });
    if (found === null) return;
    const { operator, relation } = witness;
    const { key, time } = found.value;
    this.facts.witnesses.push({ name: key.name, operator, relation, time, known: isWitness(this.policy, key) });
  }

  private async cosigned(key: VerifierKey): Promise<Cosignature> {
    const found = await openCosignature(this.root, key);
    const newest = BigInt(this.facts.newest ?? 0);
    if (found.time * 1000n < newest - TOLERANCE_MS) {
      throw new VerifyError(`time of the cosignature by ${key.name}`, found.time, `after ${newest} ms, less 5 minutes`);
    }
    this.methods.add(found.method);
    return found;
  }

  private checkStamp(stamp: Stamp): void {
    const about = { log: this.root.origin };
    try {
      const who = this.wantStamp(stamp);
      this.checks.add("timestamp", "unknown", { ...about, who });
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      this.checks.add("timestamp", "failed", about, `${error.what}: ${error.got}`, error.want);
    }
  }

  /** The authority's name, if everything fits but its signature, which is not looked at. */
  private wantStamp(stamp: Stamp): string {
    const { root } = this;
    const { anchor } = openRootEntry(stamp, root);
    if (anchor?.kind !== "timestamp") throw new VerifyError("body of the anchor", "no time stamp", "a time stamp");
    wantSame("hash of the token", sha256(stamp.token), anchor.token);
    verifyConsistency(BigInt(anchor.size), anchor.root, root.size, root.rootHash, stamp.consistency);
    const token = readToken(stamp.token);
    wantSame("imprint of the token", token.imprint, sha256(utf8(checkpointText(root.origin, anchor.size, anchor.root))));
    wantSame("time of the token", token.time, anchor.time);
    const covers = this.anchors.every((placed) => placed.index < anchor.size);
    this.facts.stamps.push({ authority: anchor.authority, time: token.time, covers });
    return anchor.authority;
  }
}

/** Whether the cosigners of the root log's checkpoint are as many as the policy asks for. */
export async function checkQuorum(root: SignedCheckpoint | null, policy: Policy, checks: Checks): Promise<void> {
  await checks.attempt("quorum", root === null ? {} : { log: root.origin }, async () => {
    if (root === null) throw new VerifyError("root log", "nothing", "a root log whose checkpoint verified");
    const cosigners: VerifierKey[] = [];
    for (const key of policy.witnesses.values()) {
      try {
        await openCosignature(root, key);
        cosigners.push(key);
      } catch (error) {
        if (!(error instanceof VerifyError)) throw error;
      }
    }
    wantQuorum(policy, cosigners);
  });
}
