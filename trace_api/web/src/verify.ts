// Checks an evidence file on this device: the same named checks, in the same order, as `suyuan verify`.
//
// Contract: any bytes give a Report or a VerifyError; `verified` is true only if no check failed and there was something to
// check. A check that builds on a failed one is not made.

import { fieldsOf, type Sound, wantAmended, wantFields, wantOrder, wantReadings, wantSummaries, windowOf } from "./contents";
import { type Entry, logPseudonym, parseEntry } from "./entry";
import { VerifyError, wantSame } from "./errors";
import { type Evidence, type Item, readEvidence } from "./evidence";
import { Facts } from "./facts";
import { Heads } from "./heads";
import { leafHash, verifyInclusion } from "./merkle";
import { Checks, type Report } from "./report";
import { type Trust, trustKeys } from "./trust";
import { unpacked } from "./unpacking";
import { Witnessing } from "./witnessing";

/** `trusted`: origin -> vkey, or what `readTrust` gives; null: the file's own keys, and the report says so. */
export async function verifyEvidence(
  data: Uint8Array | string, trusted: Readonly<Record<string, string>> | Trust | null = null,
): Promise<Report> {
  const evidence = readEvidence((await unpacked(data)).evidence);
  const trust = trusted === null || isTrust(trusted) ? trusted : trustKeys(trusted);
  return new Verification(evidence, trust).report();
}

function isTrust(trusted: Readonly<Record<string, string>> | Trust): trusted is Trust {
  return trusted["logs"] instanceof Map;
}

class Verification {
  private readonly evidence: Evidence;
  private readonly trust: Trust | null;
  private readonly checks = new Checks();
  private readonly facts = new Facts();
  private readonly heads: Heads;

  constructor(evidence: Evidence, trust: Trust | null) {
    this.evidence = evidence;
    this.trust = trust;
    this.heads = new Heads(evidence, trust, this.checks, this.facts);
  }

  async report(): Promise<Report> {
    await this.checks.attempt("content", {}, () => {
      if (this.evidence.items.length === 0) throw new VerifyError("items of the file", 0, "at least one");
    });
    await this.heads.open();
    const sound: Sound[] = [];
    for (const [at, item] of this.evidence.items.entries()) {
      const found = await this.checkItem(at, item);
      if (found !== null) sound.push(found);
    }
    await this.checkStreams(sound);
    await this.checkAmendments(sound);
    const witnessing = new Witnessing(this.heads, this.trust, this.checks, this.facts);
    await witnessing.check(this.evidence);
    return {
      verified: !this.checks.failed,
      ownKey: this.trust === null,
      checks: this.checks.made,
      heads: this.heads.byOrigin,
      methods: new Set([...this.heads.methods, ...witnessing.methods]),
      evidence: this.evidence,
      facts: this.facts,
    };
  }

  private async checkItem(at: number, item: Item): Promise<Sound | null> {
    const about = { log: item.log, item: at };
    const entry = await this.checks.attempt("entry", about, () => {
      const found = parseEntry(item.entry);
      wantSame("type of the entry", found.type, item.kind);
      return found;
    });
    if (entry === null) return null;
    const belongs = await this.checks.attempt("log", about, () =>
      wantSame("pseudonym of the log", entry.value.org, logPseudonym(item.log)));
    if (belongs === null) return null;
    const hash = leafHash(item.entry);
    const included = await this.checks.attempt("inclusion", about, () => {
      const head = this.heads.byOrigin.get(item.log);
      if (head === undefined) throw new VerifyError("log of the item", item.log, "a log whose checkpoint verified");
      verifyInclusion(hash, item.index, head.size, item.proof, head.rootHash);
    });
    if (included === null) return null;
    this.facts.saw(entry.value.rec);
    await this.checkContent(at, item, entry.value);
    return { at, item, entry: entry.value, hash };
  }

  private async checkContent(at: number, item: Item, entry: Entry): Promise<void> {
    const about = { log: item.log, item: at };
    if (item.kind !== "window") {
      await this.checks.attempt("fields", about, () => wantFields(item, fieldsOf(entry)));
    } else {
      const body = windowOf(entry);
      await this.checks.attempt("readings", about, () => wantReadings(item, body));
      await this.checks.attempt("summary", about, () => wantSummaries(item, body));
    }
  }

  private async checkStreams(sound: readonly Sound[]): Promise<void> {
    const streams = new Map<string, Sound[]>();
    for (const found of sound) {
      const name = `${found.entry.stream} ${found.item.log}`;
      const members = streams.get(name);
      if (members === undefined) streams.set(name, [found]);
      else members.push(found);
    }
    for (const members of streams.values()) {
      members.sort((one, other) => one.entry.n - other.entry.n || one.item.index - other.item.index);
      for (const [at, after] of members.entries()) {
        const before = members[at - 1];
        if (before === undefined) continue;
        await this.checks.attempt("stream", { log: after.item.log, item: after.at }, () => wantOrder(before, after));
      }
    }
  }

  private async checkAmendments(sound: readonly Sound[]): Promise<void> {
    const places = new Map(sound.map((found) => [`${found.item.index} ${found.item.log}`, found]));
    for (const found of sound) {
      const amends = found.entry.window?.amends;
      const earlier = amends && places.get(`${amends.index} ${found.item.log}`);
      if (amends && earlier) {
        await this.checks.attempt("amends", { log: found.item.log, item: found.at }, () => wantAmended(earlier, found, amends.leaf));
      }
    }
  }
}
