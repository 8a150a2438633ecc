// The one sentence at the top: all holds, or what does not, or that the file cannot be read; and how that was found out.

import type { VerifyError } from "../errors";
import type { Check, Report } from "../report";
import { failures } from "./items";
import { h, icon, type Mark } from "./dom";
import type { Words } from "./words";

export function working(words: Words): HTMLElement {
  return panel("none", "working", words.say("ev_working"), []);
}

export function unreadable(error: VerifyError, words: Words): HTMLElement {
  return panel("failed", "broken", words.say("ev_unreadable"), [
    h("p", {}, words.say("ev_unreadable_meaning")),
    h("p", { class: "note code" }, `${error.what}: ${words.say("proof_got")} ${error.got}; ${words.say("proof_want")} ${error.want}`),
  ]);
}

/** What is no fault of the file's: of what the reader gave as keys, or of the page itself. */
export function stopped(sentence: string, detail: string): HTMLElement {
  return panel("unknown", "failed", sentence, [h("p", { class: "note code" }, detail)]);
}

export function answer(report: Report, words: Words): HTMLElement {
  const failed = report.checks.filter((check) => check.state === "failed");
  const [first] = failed;
  if (first === undefined) {
    const open = report.checks.filter((check) => check.state === "unknown").length;
    const sentence = open > 0 ? words.say("ev_holds_open", { count: open }) : words.say("ev_holds");
    return panel("held", "holds", sentence, [h("p", {}, words.say("ev_holds_meaning")), ...how(report, words)]);
  }
  const what = subject(first, words);
  const sentence = failed.length === 1 ? words.say("ev_fails_one", { what }) : words.say("ev_fails_many", { count: failed.length, what });
  const general = failed.filter((check) => check.item === null);
  return panel("failed", "broken", sentence, [
    h("p", {}, words.say("ev_fails_meaning")), general.length > 0 ? failures(general, words) : null, ...how(report, words),
  ]);
}

/** What the check is about, and where. */
export function subject(check: Check, words: Words): string {
  const what = words.say(`check_${check.name}`);
  if (check.item !== null) return words.say("ev_of_item", { what, item: check.item + 1 });
  return check.who === null ? what : words.say("ev_of_witness", { what, who: check.who });
}

function how(report: Report, words: Words): HTMLElement[] {
  const count = report.checks.filter((check) => check.state === "held").length;
  const methods = [...report.methods].map((method) => words.say(`ev_method_${method}`)).join(words.say("ev_comma"));
  return [
    h("p", { class: "note" }, words.say("ev_counted", { count }), methods === "" ? "" : ` ${words.say("ev_method", { methods })}`),
    h("p", { class: "note" }, words.say(report.ownKey ? "ev_own_key" : "ev_trusted_key")),
  ];
}

function panel(mark: Mark, state: string, sentence: string, more: readonly (HTMLElement | null)[]): HTMLElement {
  return h("div", { class: "proof answer", "data-state": state }, h("p", { class: "proof-head" }, icon(mark), h("strong", {}, sentence)), ...more);
}
