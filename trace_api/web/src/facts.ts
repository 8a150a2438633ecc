// What a checked file establishes besides "it holds": whose logs, who cosigned and when, how old, and what no file can show.

import type { Relation, Witness } from "./evidence";

export interface LogFact {
  readonly origin: string;
  readonly keyId: string;
  readonly size: bigint;
  readonly rootHash: Uint8Array;
  readonly anchored: boolean;
}

/** A cosignature that verified. `time`: POSIX seconds by the witness's clock. `known`: the reader's own policy names it. */
export interface WitnessFact {
  readonly vkey: string;
  readonly name: string;
  readonly operator: Witness["operator"];
  readonly relation: Relation;
  readonly time: bigint;
  readonly known: boolean;
}

/** A time stamp whose imprint fits; the authority's signature is not looked at. `time`: UTC ms by the token. `covers`:
 * all logs of the file are anchored, and within the tree it is over. */
export interface StampFact {
  readonly authority: string;
  readonly time: number;
  readonly covers: boolean;
}

export const LIMITS = ["truth", "complete", "own_key", "clock_key", "not_anchored", "one_log_for_all", "independence", "stamp_authority"] as const;
export type Limit = (typeof LIMITS)[number];

export class Facts {
  readonly logs: LogFact[] = [];
  root: LogFact | null = null;
  clock: bigint | null = null;
  /** The clock's key came from the reader, and not from the file. */
  clockKnown = false;
  readonly witnesses: WitnessFact[] = [];
  readonly stamps: StampFact[] = [];
  oldest: number | null = null;
  newest: number | null = null;

  /** `rec`: UTC ms of an entry that is proven to be in its log. */
  saw(rec: number): void {
    this.oldest = this.oldest === null ? rec : Math.min(this.oldest, rec);
    this.newest = this.newest === null ? rec : Math.max(this.newest, rec);
  }

  /** Whether a witness that is not the issuer's own cosigned. */
  get independent(): boolean {
    return this.witnesses.some((witness) => witness.relation !== "operator");
  }

  /** Whether every log that verified is in the root log. */
  get anchored(): boolean {
    return this.root !== null && this.logs.every((log) => log.anchored);
  }

  /** What this file does not show. */
  limits(ownKey: boolean): Limit[] {
    const holds: Record<Limit, boolean> = {
      truth: true,
      complete: true,
      own_key: ownKey,
      clock_key: this.clock !== null && !this.clockKnown,
      not_anchored: !this.anchored,
      // What a witness saw is the root log: of a log that is not in there it says nothing.
      one_log_for_all: !(this.independent && this.anchored),
      independence: this.witnesses.some((witness) => witness.relation !== "operator" && !witness.known),
      stamp_authority: this.stamps.length > 0,
    };
    return LIMITS.filter((limit) => holds[limit]);
  }
}
