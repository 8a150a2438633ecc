// The one way in which checking says no: what was looked at, what was there, what should have been.

const SHOWN = 80;

export class VerifyError extends Error {
  readonly what: string;
  readonly got: string;
  readonly want: string;

  constructor(what: string, got: unknown, want: unknown) {
    super(`${what}: got ${show(got)}, want ${show(want)}`);
    this.name = "VerifyError";
    this.what = what;
    this.got = show(got);
    this.want = show(want);
  }
}

/** A value in a line: bytes as hex, long texts cut, so that a hostile file cannot flood the page. */
export function show(value: unknown): string {
  let text: string;
  if (value instanceof Uint8Array) {
    text = value.length > 32 ? `${value.length} bytes` : toHex(value) || "no bytes";
  } else {
    text = String(value);
  }
  return text.length <= SHOWN ? text : text.slice(0, SHOWN - 3) + "...";
}

export function wantSame(what: string, got: Uint8Array, want: Uint8Array): void;
export function wantSame<T extends string | number | bigint>(what: string, got: T, want: T): void;
export function wantSame(what: string, got: unknown, want: unknown): void {
  const same = got instanceof Uint8Array && want instanceof Uint8Array ? sameBytes(got, want) : got === want;
  if (!same) throw new VerifyError(what, got, want);
}

export function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
