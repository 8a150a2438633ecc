// The page's words, in both languages, out of the block that the page carries; and how moments and numbers are written.

export type Language = "zh" | "en";
type Catalogue = Readonly<Record<string, string>>;

/** China has one time; a file is read far from where it was made, and printed. */
const OFFSET_MS = 8 * 3_600_000;
const LAST_MS = 253_402_300_799_999; // the year 9999

export class Words {
  readonly language: Language;
  private readonly catalogue: Catalogue;

  constructor(catalogues: Readonly<Record<Language, Catalogue>>, language: Language) {
    this.language = language;
    this.catalogue = catalogues[language];
  }

  /** The sentence of `key` with its places filled; the key itself shows that one is missing. */
  say(key: string, values: Readonly<Record<string, string | number>> = {}): string {
    const sentence = this.catalogue[key] ?? key;
    return sentence.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
  }

  /** The word of `code` in a group such as `step`, else the code. */
  known(group: string, code: string): string {
    return this.catalogue[`${group}_${code}`] ?? code;
  }

  /** `time`: UTC ms; with the zone it is written in. */
  moment(time: number | bigint): string {
    return this.say("ev_moment", { moment: this.bare(time) });
  }

  /** The same where the zone is said beside it. */
  bare(time: number | bigint): string {
    if (time > LAST_MS || time < 0) return String(time);
    return new Date(Number(time) + OFFSET_MS).toISOString().slice(0, 19).replace("T", " ");
  }

  number(value: number): string {
    return String(value).replace("-", "\u2212");
  }
}
