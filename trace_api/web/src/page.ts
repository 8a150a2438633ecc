// Turns the page's "not yet checked on this device" into what the check gave. All words are in the page's templates, so
// that a language is in one place; this file only chooses and fills.

import { toBase64 } from "./bytes";
import { VerifyError } from "./errors";
import { MAX_FILE_SIZE } from "./unpacking";
import { eventTimes, namesLot } from "./subject";
import type { Check, Report } from "./report";
import { verifyEvidence } from "./verify";

type State = "working" | "holds" | "broken" | "failed";
type Reason = "fetch" | "error" | "other";

const SHOWN_FAILURES = 12;
/** A root log says how fresh it is at least every 30 s, and evidence is made for the asking. */
const FRESH_MS = 60_000;

class NotFetched extends Error {}

/** Checks the page's evidence and shows the outcome. Does nothing on a page without a proof section. */
export async function checkPage(page: Document): Promise<void> {
  const part = page.getElementById("proof-part");
  const panel = page.getElementById("proof-state");
  const address = part?.dataset["evidence"];
  if (!part || !panel || !address) return;
  show(page, panel, "working");
  try {
    const report = await verifyEvidence(await fetchEvidence(address));
    if (report.verified && !namesLot(report, part.dataset["gtin"] ?? "", part.dataset["lot"] ?? "")) {
      fail(page, panel, "other");
    } else {
      tell(page, panel, report);
    }
  } catch (error) {
    if (error instanceof VerifyError) {
      show(page, panel, "broken");
      panel.append(failures(page, [{ name: "file", got: `${error.what}: ${error.got}`, want: error.want }]));
    } else {
      fail(page, panel, error instanceof NotFetched ? "fetch" : "error");
    }
  }
}

async function fetchEvidence(address: string): Promise<Uint8Array> {
  try {
    const answer = await fetch(address, { credentials: "omit", cache: "no-store", headers: { Accept: "application/json" } });
    if (!answer.ok) throw new NotFetched(String(answer.status));
    const announced = Number(answer.headers.get("Content-Length") ?? 0);
    if (announced > MAX_FILE_SIZE) throw new NotFetched(`${announced} bytes`);
    return new Uint8Array(await answer.arrayBuffer());
  } catch (error) {
    throw error instanceof NotFetched ? error : new NotFetched(String(error));
  }
}

function tell(page: Document, panel: HTMLElement, report: Report): void {
  const bad = report.checks.filter((check) => check.state === "failed");
  show(page, panel, report.verified ? "holds" : "broken");
  if (bad.length > 0) panel.append(failures(page, bad));
  const facts = copy(page, "proof-facts");
  const times = eventTimes(report);
  const steps = report.verified ? markSteps(page, times) : 0;
  const readings = report.evidence.items.flatMap((item) => (item.kind === "window" ? item.readings : []));
  fill(facts, "method", [...report.methods].map((method) => words(page, `proof-method-${method}`)).join(" · ") || "\u2014");
  fill(facts, "events", String(report.evidence.items.filter((item) => item.kind === "event").length));
  fill(facts, "steps", String(steps));
  fill(facts, "readings", String(readings.length));
  fill(facts, "logs", report.evidence.logs.map((log) => log.origin).join(" · "));
  tellRoot(page, facts, report);
  if (report.verified) tellWitnesses(page, report);
  if (!report.ownKey || !report.verified) slot(facts, "own-key")?.remove();
  slot(facts, "checks")?.append(...counted(report.checks).map(([name, count]) => held(page, name, count)));
  panel.append(facts);
}

/** The root log that the logs are entered in, and how fresh it is by its own clock. */
function tellRoot(page: Document, facts: DocumentFragment, report: Report): void {
  const { root, clock } = report.facts;
  if (root === null) slot(facts, "root-row")?.remove();
  else {
    fill(facts, "root", root.origin);
    fill(facts, "root-size", String(root.size));
    fill(facts, "root-hash", toBase64(root.rootHash));
  }
  if (clock === null) slot(facts, "fresh-row")?.remove();
  else {
    fill(facts, "fresh", moment(page, clock));
    if (Date.now() - Number(clock) * 1000 <= FRESH_MS) slot(facts, "stale")?.remove();
  }
}

/** Who saw the root log, in the place of what the server said of it. A file of version 1 knows nothing of witnesses. */
function tellWitnesses(page: Document, report: Report): void {
  const { root, witnesses, independent } = report.facts;
  const part = page.getElementById("witnesses");
  if (root === null || part === null) return;
  const found = copy(page, "proof-witnesses");
  slot(found, independent ? "alone" : "independent")?.remove();
  slot(found, "list")?.append(...witnesses.map((witness) => {
    const line = copy(page, "proof-witness");
    const { zh, en } = witness.operator;
    fill(line, "operator", (page.documentElement.lang.startsWith("zh") ? zh || en : en || zh) || witness.name);
    fill(line, "relation", words(page, `proof-relation-${witness.relation}`));
    fill(line, "time", moment(page, witness.time));
    return line;
  }));
  part.replaceChildren(found);
}

/** POSIX seconds, in the place's own time. */
function moment(page: Document, seconds: bigint): string {
  const time = new Date(Number(seconds) * 1000);
  if (Number.isNaN(time.getTime())) return String(seconds);
  const timeZone = page.getElementById("proof-part")?.dataset["zone"] ?? "Asia/Shanghai";
  return new Intl.DateTimeFormat(page.documentElement.lang, { dateStyle: "medium", timeStyle: "medium", timeZone }).format(time);
}

function fail(page: Document, panel: HTMLElement, reason: Reason): void {
  show(page, panel, "failed");
  fill(panel, "reason", words(page, `proof-reason-${reason}`));
  panel.querySelector("[data-again]")?.addEventListener("click", () => void checkPage(page));
}

function show(page: Document, panel: HTMLElement, state: State): void {
  panel.dataset["state"] = state;
  panel.replaceChildren(copy(page, `proof-${state}`));
}

/** Marks the steps whose very time a proven event has; returns how many. */
function markSteps(page: Document, times: ReadonlySet<number>): number {
  let marked = 0;
  for (const step of page.querySelectorAll<HTMLElement>(".step[data-at]")) {
    if (!times.has(Number(step.dataset["at"]))) continue;
    marked += 1;
    if (step.classList.contains("step-sealed")) continue;
    step.classList.add("step-sealed");
    step.querySelector(".note")?.before(copy(page, "proof-step"));
  }
  return marked;
}

/** How often each check held, in the order they first came. */
function counted(checks: readonly Check[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const check of checks) if (check.state === "held") counts.set(check.name, (counts.get(check.name) ?? 0) + 1);
  return [...counts];
}

function held(page: Document, name: string, count: number): DocumentFragment {
  const line = copy(page, "proof-check-holds");
  fill(line, "text", words(page, `proof-check-${name}`));
  fill(line, "count", count > 1 ? `\u00d7${count}` : "");
  return line;
}

function failures(page: Document, bad: readonly { name: string; got: string; want: string }[]): DocumentFragment {
  const found = copy(page, "proof-failures");
  const lines = bad.slice(0, SHOWN_FAILURES).map((check) => {
    const line = copy(page, "proof-check-broken");
    fill(line, "text", words(page, `proof-check-${check.name}`));
    fill(line, "got", check.got);
    fill(line, "want", check.want);
    return line;
  });
  slot(found, "failures")?.append(...lines);
  return found;
}

function copy(page: Document, id: string): DocumentFragment {
  const template = page.getElementById(id);
  return template instanceof HTMLTemplateElement
    ? (template.content.cloneNode(true) as DocumentFragment)
    : page.createDocumentFragment();
}

function words(page: Document, id: string): string {
  const template = page.getElementById(id);
  return template instanceof HTMLTemplateElement ? (template.content.textContent ?? "").trim() : id;
}

function slot(within: ParentNode, name: string): Element | null {
  return within.querySelector(`[data-slot="${name}"]`);
}

function fill(within: ParentNode, name: string, text: string): void {
  const found = slot(within, name);
  if (found !== null) found.textContent = text;
}
