// 存证说明: what the issuer says of source, generation, custody and the rest. Its words, shown as such; none of it is proven
// by being here, and so nothing of it wears the signs of what was checked.
//
// Contract: any JSON gives a Statement or null; a line of another form is left out rather than guessed at.

import { h, section } from "./dom";
import type { Words } from "./words";

const FORMAT = "suyuan-statement/v1";
const STATES = ["held", "not_held", "not_recorded"] as const;
const MOST = 100;
const LONGEST = 4000;
type State = (typeof STATES)[number];

interface Text {
  readonly zh: string;
  readonly en: string;
}

interface Line extends Text {
  readonly id: string;
  readonly state: State;
  readonly law: readonly string[];
  readonly proof: string | null;
}

export interface Statement {
  readonly madeAt: number | null;
  readonly about: Text | null;
  readonly lines: readonly Line[];
}

export function readStatement(json: string): Statement | null {
  try {
    const value: unknown = JSON.parse(json);
    if (!isObject(value) || value["format"] !== FORMAT || !Array.isArray(value["lines"])) return null;
    const { made_at: made, about } = value;
    return {
      madeAt: typeof made === "number" ? made : null,
      about: isText(about) ? about : null,
      lines: value["lines"].slice(0, MOST).flatMap((line: unknown) => readLine(line)),
    };
  } catch {
    return null;
  }
}

function readLine(value: unknown): Line[] {
  if (!isObject(value) || !isText(value) || typeof value["id"] !== "string") return [];
  const state = STATES.find((each) => each === value["state"]);
  if (state === undefined) return [];
  const law = Array.isArray(value["law"]) ? value["law"].filter((each): each is string => typeof each === "string") : [];
  const proof = typeof value["proof"] === "string" ? value["proof"] : null;
  return [{ id: value["id"], zh: value.zh, en: value.en, state, law: law.slice(0, MOST), proof }];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is Text {
  return isObject(value) && [value["zh"], value["en"]].every((text) => typeof text === "string" && text.length <= LONGEST);
}

export function statement(found: Statement | null, words: Words): HTMLElement {
  const title = words.say("ev_statement");
  if (found === null) return section("statement-part", title, h("p", {}, words.say("ev_no_statement")));
  const own = (text: Text): string => (words.language === "zh" ? text.zh || text.en : text.en || text.zh);
  const lines = found.lines.map((line) =>
    h(
      "li", {}, h("h3", {}, words.known("ev_line", line.id)), h("p", {}, h("span", { class: `said said-${line.state}` }, words.say(`ev_state_${line.state}`))),
      h("p", {}, own(line)),
      line.law.length > 0 ? h("p", { class: "note" }, words.say("ev_law", { law: line.law.join(words.say("ev_comma")) })) : null,
      proofLink(line.proof, words),
    ));
  return section(
    "statement-part", title,
    h("p", {}, h("strong", {}, words.say("ev_statement_whose"))),
    found.about === null ? null : h("p", {}, own(found.about)),
    found.madeAt === null ? null : h("p", { class: "note" }, words.say("ev_statement_at", { when: words.moment(found.madeAt) })),
    h("ul", { class: "statement" }, ...lines),
  );
}

/** To what this page itself found of it. */
function proofLink(proof: string | null, words: Words): HTMLElement | null {
  const match = /^(item|check):(\w+)$/.exec(proof ?? "");
  if (match === null) return null;
  const [, kind = "", name = ""] = match;
  const target = kind === "item" ? `item-${name}` : `check-${name}`;
  const label = kind === "item" ? words.say("ev_see_item", { item: Number(name) + 1 }) : words.say("ev_see_check", { what: words.known("check", name) });
  return h("p", {}, h("a", { href: `#${target}` }, label));
}
