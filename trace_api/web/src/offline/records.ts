// The records behind the items: whose logs, in which root log, who cosigned it and when, and time stamps.

import { toBase64 } from "../bytes";
import type { LogFact } from "../facts";
import type { Check, Report } from "../report";
import { chip, code, facts, h, section } from "./dom";
import type { Words } from "./words";

export function records(report: Report, words: Words): HTMLElement {
  const { root, logs } = report.facts;
  return section(
    "records", words.say("ev_records"),
    h("p", {}, words.say("ev_records_intro")),
    ...logs.map((log) => h("div", {}, h("h3", {}, words.say("ev_log")), head(log, words, words.say(log.anchored ? "ev_anchored" : "ev_not_anchored")))),
    root === null
      ? h("p", {}, words.say("ev_no_root"))
      : h("div", {}, h("h3", {}, words.say("ev_root")), head(root, words, clock(report, words))),
    witnesses(report, words),
    stamps(report, words),
  );
}

function head(log: LogFact, words: Words, note: string): HTMLElement {
  return h(
    "div", {},
    facts([
      [words.say("ev_origin"), code(log.origin)],
      [words.say("ev_key_id"), code(log.keyId)],
      [words.say("ev_size"), String(log.size)],
      [words.say("ev_root_hash"), code(toBase64(log.rootHash))],
    ]),
    note === "" ? null : h("p", { class: "note" }, note),
  );
}

/** How fresh the root log was when the file was made. */
function clock(report: Report, words: Words): string {
  const { clock: time } = report.facts;
  return time === null ? words.say("ev_no_clock") : words.say("ev_clock", { when: words.moment(time * 1000n) });
}

function witnesses(report: Report, words: Words): HTMLElement {
  const { evidence, facts: found } = report;
  const independent = words.say(found.independent ? "ev_independent" : "ev_not_independent");
  const lines = evidence.witnesses.map((witness) => {
    const name = witness.vkey.split("+", 1)[0] ?? "";
    const fact = found.witnesses.find((each) => each.vkey === witness.vkey);
    const operator = words.language === "zh" ? witness.operator.zh || witness.operator.en : witness.operator.en || witness.operator.zh;
    return h(
      "li", {},
      chip(fact === undefined ? "failed" : "held", fact === undefined ? words.say("ev_witness_failed") : words.say("ev_witness_held", { when: words.moment(fact.time * 1000n) })),
      h("span", { class: "did" }, operator), code(name),
      h("span", { class: "note" }, words.say(`ev_relation_${witness.relation}`)),
    );
  });
  return h(
    "div", { id: "check-cosignature" }, h("h3", {}, words.say("ev_witnesses")),
    lines.length === 0 ? h("p", {}, words.say("ev_no_witness")) : h("ul", { class: "cards" }, ...lines),
    h("p", {}, h("strong", {}, independent)),
  );
}

function stamps(report: Report, words: Words): HTMLElement | null {
  if (report.facts.root === null) return null;
  const made = report.checks.filter((check) => check.name === "timestamp");
  if (made.length === 0) return h("div", {}, h("h3", {}, words.say("ev_stamps")), h("p", {}, words.say("ev_no_stamp")));
  return h("div", { id: "check-timestamp" }, h("h3", {}, words.say("ev_stamps")), h("ul", { class: "cards" }, ...stampLines(made, report, words)));
}

function stampLines(made: readonly Check[], report: Report, words: Words): HTMLElement[] {
  const fitting = [...report.facts.stamps];
  return made.map((check) => {
    const fact = check.state === "failed" ? undefined : fitting.shift();
    if (fact === undefined) {
      return h("li", {}, chip("failed", words.say("ev_stamp_failed")), h("span", { class: "note code" }, `${check.got} / ${check.want}`));
    }
    return h(
      "li", {}, chip("unknown", words.say("ev_stamp_open")), h("span", { class: "did" }, fact.authority),
      h("span", {}, words.say("ev_stamp_at", { when: words.moment(fact.time) })),
      h("span", { class: "note" }, words.say(fact.covers ? "ev_stamp_covers" : "ev_stamp_before")),
      h("span", { class: "note" }, words.say("ev_stamp_meaning")),
    );
  });
}
