// Each named check with what was found and what should have been, and what no file can show.

import type { Check, Report } from "../report";
import { subject } from "./answer";
import { h, icon, section } from "./dom";
import type { Words } from "./words";

const SHOWN = 500;

export function limits(report: Report, words: Words): HTMLElement {
  const lines = report.facts.limits(report.ownKey).map((limit) => h("li", {}, words.say(`ev_limit_${limit}`)));
  return section("limits", words.say("ev_limits"), h("ul", { class: "plain bullets" }, ...lines, h("li", {}, words.say("ev_limit_page"))));
}

export function details(report: Report, words: Words): HTMLElement {
  const failed = report.checks.filter((check) => check.state === "failed");
  const others = report.checks.filter((check) => check.state !== "failed");
  const shown = [...failed, ...others].slice(0, SHOWN);
  const seen = new Set<string>();
  const rest = report.checks.length - shown.length;
  return section(
    "details", words.say("ev_details"),
    h("details", {}, h("summary", {}, words.say("ev_details_open", { count: report.checks.length })),
      h("ul", { class: "checks" }, ...shown.map((check) => line(check, seen, words))),
      rest > 0 ? h("p", { class: "note" }, words.say("ev_more_checks", { count: rest })) : null),
  );
}

function line(check: Check, seen: Set<string>, words: Words): HTMLElement {
  const id = `check-${check.name}`;
  // The cosignatures and time stamps have a place of their own to be led to.
  const first = !seen.has(id) && check.name !== "cosignature" && check.name !== "timestamp";
  seen.add(id);
  const not = check.state === "failed" ? words.say("proof_not_so") : check.state === "unknown" ? words.say("ev_not_decided") : "";
  return h(
    "li", first ? { id } : {}, icon(check.state),
    h("span", {}, `${not}${subject(check, words)}`, h("span", { class: "note code" }, check.log === null ? check.name : `${check.name} · ${check.log}`),
      check.state !== "failed" ? null
        : h("span", { class: "note code" }, `${words.say("proof_got")}: ${check.got}`, h("br", {}), `${words.say("proof_want")}: ${check.want}`)),
  );
}
