// What a run over a file found: the named checks in order, each held, failed or (a time stamp whose authority we do not
// know) neither. The names are those of `suyuan verify`.

import type { Method } from "./ed25519";
import { VerifyError } from "./errors";
import type { Evidence } from "./evidence";
import type { Facts } from "./facts";
import type { Checkpoint } from "./note";

export const CHECK_NAMES = [
  "content", "root_key", "root_checkpoint", "key", "own_key", "anchor", "checkpoint", "rotation", "entry", "log", "inclusion",
  "fields", "readings", "summary", "stream", "amends", "clock", "cosignature", "timestamp", "quorum",
] as const;
export type CheckName = (typeof CHECK_NAMES)[number];
export type CheckState = "held" | "failed" | "unknown";

/** `log`: the origin it is about. `item`: index in the file's items. `who`: the name of the witness or authority. */
export interface Check {
  readonly name: CheckName;
  readonly state: CheckState;
  readonly got: string;
  readonly want: string;
  readonly log: string | null;
  readonly item: number | null;
  readonly who: string | null;
}

/** `ownKey`: no key was given, and the file vouched for itself. `methods`: who checked signatures. */
export interface Report {
  readonly verified: boolean;
  readonly ownKey: boolean;
  readonly checks: readonly Check[];
  readonly heads: ReadonlyMap<string, Checkpoint>;
  readonly methods: ReadonlySet<Method>;
  readonly evidence: Evidence;
  readonly facts: Facts;
}

export interface About {
  readonly log?: string;
  readonly item?: number;
  readonly who?: string;
}

/** Gathers checks as they are made. */
export class Checks {
  readonly made: Check[] = [];

  /** What `check` gives, and null where it says no. Whatever is not a VerifyError is a fault of ours and goes on. */
  async attempt<T>(name: CheckName, about: About, check: () => T | Promise<T>): Promise<{ readonly value: T } | null> {
    try {
      const value = await check();
      this.add(name, "held", about);
      return { value };
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      this.add(name, "failed", about, `${error.what}: ${error.got}`, error.want);
      return null;
    }
  }

  add(name: CheckName, state: CheckState, about: About, got = "", want = ""): void {
    this.made.push({ name, state, got, want, log: about.log ?? null, item: about.item ?? null, who: about.who ?? null });
  }

  get failed(): boolean {
    return this.made.some((check) => check.state === "failed");
  }
}
