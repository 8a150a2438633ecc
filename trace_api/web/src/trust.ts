// What the reader brought along: keys of logs, or a whole policy that also says which witnesses are enough.
//
// Contract: text in (verifier keys one a line, or a C2SP tlog-policy file), Trust out, or VerifyError. c2sp.org/tlog-policy.

import { KEY_SIZES as COSIGNER_SIZES, parseCosigner } from "./cosignature";
import { sameBytes, VerifyError } from "./errors";
import { ED25519, parseKey, parseVkey, sameKey, type VerifierKey } from "./note";

/** At least `threshold` of `members`, which are witnesses or groups. */
interface Group {
  readonly threshold: number;
  readonly members: readonly string[];
}

/** `quorum`: the name of a witness or group; null: no witness is asked for. */
export interface Policy {
  readonly witnesses: ReadonlyMap<string, VerifierKey>;
  readonly groups: ReadonlyMap<string, Group>;
  readonly quorum: string | null;
}

/** `logs`: by origin, which may have several keys, and any of them will do. `clocks`: keys under which root logs say how fresh they are, by name. */
export interface Trust {
  readonly logs: ReadonlyMap<string, readonly VerifierKey[]>;
  readonly clocks: ReadonlyMap<string, VerifierKey>;
  readonly policy: Policy | null;
}

const MAX_SIZE = 1_000_000;
const NONE = "none";
const POLICY_LINE = /^[ \t]*(?:log|witness|group|quorum)[ \t]/m;

export function readTrust(text: string): Trust {
  if (text.length > MAX_SIZE) throw new VerifyError("length of the keys", text.length, `at most ${MAX_SIZE}`);
  return POLICY_LINE.test(text) ? readPolicy(text) : readKeys(text);
}

export function trustKeys(vkeys: Readonly<Record<string, string>>): Trust {
  const logs = Object.entries(vkeys).map(([origin, vkey]): [string, VerifierKey[]] => [origin, [parseVkey(vkey)]]);
  return { logs: new Map(logs), clocks: new Map(), policy: null };
}

function readKeys(text: string): Trust {
  const keys = text.split(/\s+/).filter((word) => word !== "").map(parseLogKey);
  if (keys.length === 0) throw new VerifyError("keys", "none", "at least one");
  return trustIn(keys, null);
}

/** A log's key: Ed25519 (0x01), or one that signs checkpoints as cosigners do, such as a root log's clock. */
export function parseLogKey(vkey: string): VerifierKey {
  return parseKey(vkey, new Map([[ED25519, 32], ...COSIGNER_SIZES]));
}

function trustIn(keys: readonly VerifierKey[], policy: Policy | null): Trust {
  const logs = new Map<string, VerifierKey[]>();
  const clocks = new Map<string, VerifierKey>();
  for (const key of keys) {
    if (key.algorithm === ED25519) logs.set(key.name, [...(logs.get(key.name) ?? []), key]);
    else clocks.set(key.name, key);
  }
  return { logs, clocks, policy };
}

function readPolicy(text: string): Trust {
  if (/[\u0000-\u0008\u000b-\u001f\u007f]/.test(text)) throw new VerifyError("policy", "control characters", "text, tabs and newlines");
  const reading = new Reading();
  for (const line of text.split("\n")) {
    const words = line.split(/[ \t]+/).filter((word) => word !== "");
    if (words[0] !== undefined && !words[0].startsWith("#")) reading.take(words);
  }
  return reading.trust();
}

class Reading {
  private readonly logs: VerifierKey[] = [];
  private readonly witnesses = new Map<string, VerifierKey>();
  private readonly groups = new Map<string, Group>();
  private readonly members = new Set<string>();
  private readonly quorums: string[] = [];

  take([kind, ...rest]: readonly string[]): void {
    const [first = "", second = ""] = rest;
    if (kind === "log" && (rest.length === 1 || rest.length === 2)) this.log(first);
    else if (kind === "witness" && (rest.length === 2 || rest.length === 3)) this.witness(first, second);
    else if (kind === "group" && rest.length >= 3) this.group(first, second, rest.slice(2));
    else if (kind === "quorum" && rest.length === 1) this.quorums.push(first === NONE ? NONE : this.known(first));
    else throw new VerifyError("line of the policy", [kind, ...rest].join(" "), "log, witness, group or quorum with what belongs to it");
  }

  trust(): Trust {
    const [quorum] = this.quorums;
    if (quorum === undefined || this.quorums.length > 1) {
      throw new VerifyError("quorum lines of the policy", this.quorums.length, 1);
    }
    return trustIn(this.logs, { witnesses: this.witnesses, groups: this.groups, quorum: quorum === NONE ? null : quorum });
  }

  private log(vkey: string): void {
    const key = parseLogKey(vkey);
    if (hasKey(this.logs, key)) throw new VerifyError("log of the policy", `${key.name} again`, "each key once");
    this.logs.push(key);
  }

  private witness(name: string, vkey: string): void {
    const key = parseCosigner(vkey);
    if (hasKey([...this.witnesses.values()], key)) {
      throw new VerifyError("witness of the policy", `${key.name} again`, "each key once");
    }
    this.witnesses.set(this.fresh(name), key);
  }

  private group(name: string, threshold: string, members: readonly string[]): void {
    for (const member of members) {
      this.known(member);
      if (this.members.has(member)) throw new VerifyError("member of a group", `${member} again`, "each name once");
      this.members.add(member);
    }
    const count = threshold === "any" ? 1 : threshold === "all" ? members.length : countOf(threshold, members.length);
    this.groups.set(this.fresh(name), { threshold: count, members });
  }

  private fresh(name: string): string {
    if (name === NONE || this.witnesses.has(name) || this.groups.has(name)) {
      throw new VerifyError("name in the policy", name, "a new one");
    }
    return name;
  }

  private known(name: string): string {
    if (!this.witnesses.has(name) && !this.groups.has(name)) {
      throw new VerifyError("name in the policy", name, "one defined on a line before");
    }
    return name;
  }
}

function hasKey(keys: readonly VerifierKey[], key: VerifierKey): boolean {
  return keys.some((other) => sameBytes(other.publicKey, key.publicKey));
}

function countOf(text: string, members: number): number {
  if (/^[1-9][0-9]{0,6}$/.test(text) && Number(text) <= members) return Number(text);
  throw new VerifyError("threshold of a group", text, `any, all or 1 to ${members}`);
}

export function isWitness(policy: Policy | null, key: VerifierKey): boolean {
  return policy !== null && [...policy.witnesses.values()].some((other) => sameKey(other, key));
}

/** VerifyError unless the cosigners, whose cosignatures have verified, are the quorum. */
export function wantQuorum(policy: Policy, cosigners: readonly VerifierKey[]): void {
  if (policy.quorum === null) return;
  const seen = new Set<string>();
  for (const [name, key] of policy.witnesses) if (cosigners.some((other) => sameKey(other, key))) seen.add(name);
  // A group names only what stands before it, so one pass in the file's order settles them all.
  for (const [name, group] of policy.groups) {
    if (group.members.filter((member) => seen.has(member)).length >= group.threshold) seen.add(name);
  }
  if (!seen.has(policy.quorum)) {
    throw new VerifyError("witnesses that cosigned", [...seen].join(", ") || "none", `quorum ${policy.quorum}`);
  }
}
