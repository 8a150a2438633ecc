// The evidence page: one file that is opened without a network and checks what it carries, or another file put into it.
//
// Contract: asks nobody for anything. What it carries are blocks of JSON: `words`, `evidence`, `statement`; each may be
// cut off or foreign, and then it says so. All that is shown comes out of a report, never out of the page's own markup.

import { VerifyError } from "../errors";
import type { Report } from "../report";
import { readTrust, type Trust } from "../trust";
import { unpacked } from "../unpacking";
import { verifyEvidence } from "../verify";
import { answer, stopped, unreadable, working } from "./answer";
import { details, limits } from "./details";
import { h } from "./dom";
import { items } from "./items";
import { records } from "./records";
import { readStatement, type Statement, statement } from "./statement";
import { type Language, Words } from "./words";

/** `name` is null for what the page itself carries. */
interface Subject {
  readonly name: string | null;
  readonly data: Uint8Array | string;
}

type Outcome =
  | { readonly kind: "working" | "keys" | "error"; readonly detail: string }
  | { readonly kind: "unreadable"; readonly error: VerifyError }
  | { readonly kind: "report"; readonly report: Report; readonly statement: Statement | null };

class EvidencePage {
  private readonly page: Document;
  private readonly catalogues: Readonly<Record<Language, Readonly<Record<string, string>>>>;
  private readonly own: Subject;
  private subject: Subject;
  private language: Language;
  private outcome: Outcome = { kind: "working", detail: "" };
  private run = 0;

  constructor(page: Document) {
    this.page = page;
    this.catalogues = JSON.parse(blockOf(page, "words") ?? "") as EvidencePage["catalogues"];
    this.own = { name: null, data: blockOf(page, "evidence") ?? "" };
    this.subject = this.own;
    this.language = page.documentElement.lang.startsWith("en") ? "en" : "zh";
  }

  start(): void {
    this.on("language", "click", () => this.speak(this.language === "zh" ? "en" : "zh"));
    this.on("file", "change", () => void this.take(this.input("file")?.files?.[0] ?? null));
    this.on("again", "click", () => void this.check());
    this.on("back", "click", () => void this.look(this.own));
    this.on("print", "click", () => print());
    const drop = this.page.getElementById("drop");
    drop?.addEventListener("dragover", (event) => event.preventDefault());
    drop?.addEventListener("drop", (event) => {
      event.preventDefault();
      void this.take(event.dataTransfer?.files[0] ?? null);
    });
    addEventListener("beforeprint", () => this.page.querySelectorAll("details").forEach((each) => { each.open = true; }));
    this.speak(this.language);
    void this.check();
  }

  private async take(file: File | null): Promise<void> {
    if (file !== null) await this.look({ name: file.name, data: new Uint8Array(await file.arrayBuffer()) });
  }

  private async look(subject: Subject): Promise<void> {
    this.subject = subject;
    await this.check();
    this.page.getElementById("answer")?.scrollIntoView();
  }

  private async check(): Promise<void> {
    this.run += 1;
    const { run } = this;
    this.show({ kind: "working", detail: "" });
    const outcome = await this.judged();
    if (run === this.run) this.show(outcome);
  }

  private async judged(): Promise<Outcome> {
    const { subject } = this;
    let trust: Trust | null;
    try {
      const given = this.keys();
      trust = given === "" ? null : readTrust(given);
    } catch (error) {
      return { kind: "keys", detail: String(error) };
    }
    try {
      if (subject.name === null) this.wantWhole();
      const report = await verifyEvidence(subject.data, trust);
      return { kind: "report", report, statement: readStatement((await this.statementOf(subject)) ?? "") };
    } catch (error) {
      return error instanceof VerifyError ? { kind: "unreadable", error } : { kind: "error", detail: String(error) };
    }
  }

  private async statementOf(subject: Subject): Promise<string | null> {
    return subject.name === null ? blockOf(this.page, "statement") : (await unpacked(subject.data)).statement;
  }

  /** The statement is the last block: without its end this page was cut off, and who knows of what else. */
  private wantWhole(): void {
    try {
      JSON.parse(blockOf(this.page, "statement") ?? "");
    } catch {
      throw new VerifyError("statement block of the page", "nothing whole", "JSON; the page was cut off");
    }
  }

  private keys(): string {
    const field = this.page.getElementById("keys");
    return field instanceof HTMLTextAreaElement ? field.value.trim() : "";
  }

  private speak(language: Language): void {
    this.language = language;
    this.page.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    const words = this.words;
    this.page.title = words.say("ev_title");
    for (const element of this.page.querySelectorAll<HTMLElement>("[data-say]")) {
      element.textContent = words.say(element.dataset["say"] ?? "");
    }
    for (const element of this.page.querySelectorAll<HTMLElement>("[data-label]")) {
      element.setAttribute("aria-label", words.say(element.dataset["label"] ?? ""));
    }
    this.page.getElementById("language")?.setAttribute("lang", language === "zh" ? "en" : "zh-CN");
    this.show(this.outcome);
  }

  private get words(): Words {
    return new Words(this.catalogues, this.language);
  }

  private show(outcome: Outcome): void {
    this.outcome = outcome;
    const words = this.words;
    const parts = outcome.kind === "report"
      ? [items(outcome.report, words), records(outcome.report, words), statement(outcome.statement, words), limits(outcome.report, words), details(outcome.report, words)]
      : [];
    this.page.getElementById("answer")?.replaceChildren(this.whose(words), top(outcome, words));
    this.page.getElementById("report")?.replaceChildren(...parts);
    this.lead();
    this.page.body.dataset["outcome"] = outcome.kind === "report" ? (outcome.report.verified ? "holds" : "broken") : outcome.kind;
    this.page.getElementById("back")?.toggleAttribute("hidden", this.subject.name === null);
  }

  /** A link of the statement opens what it leads to; one to a check that was not made is none. */
  private lead(): void {
    for (const link of this.page.querySelectorAll<HTMLAnchorElement>("#statement-part a")) {
      const target = this.page.getElementById(link.hash.slice(1));
      if (target === null) link.replaceWith(link.textContent ?? "");
      else link.addEventListener("click", () => target.closest("details")?.setAttribute("open", ""));
    }
  }

  private whose(words: Words): HTMLElement {
    const { name } = this.subject;
    return h("p", { class: "note" }, name === null ? words.say("ev_whose_own") : words.say("ev_whose_other", { name }));
  }

  private input(id: string): HTMLInputElement | null {
    const found = this.page.getElementById(id);
    return found instanceof HTMLInputElement ? found : null;
  }

  private on(id: string, kind: string, act: () => void): void {
    this.page.getElementById(id)?.addEventListener(kind, act);
  }
}

function top(outcome: Outcome, words: Words): HTMLElement {
  switch (outcome.kind) {
    case "working":
      return working(words);
    case "unreadable":
      return unreadable(outcome.error, words);
    case "report":
      return answer(outcome.report, words);
    default:
      return stopped(words.say(`ev_stopped_${outcome.kind}`), outcome.detail);
  }
}

function blockOf(page: Document, id: string): string | null {
  const found = page.querySelectorAll(`script[type="application/json"]#${id}`);
  return found.length === 1 ? (found[0]?.textContent ?? null) : null;
}

// The evidence stands behind the script, so that a file that was cut off still says so.
document.addEventListener("DOMContentLoaded", () => new EvidencePage(document).start());
