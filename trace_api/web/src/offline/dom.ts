// Makes elements. Contract: what comes from a file becomes text and nothing else; no markup is ever parsed.

type Child = Node | string | null;
type Attributes = Readonly<Record<string, string>>;

export function h(tag: string, attributes: Attributes, ...children: readonly Child[]): HTMLElement {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag: string, attributes: Attributes, ...children: readonly Child[]): SVGElement {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled<T extends Element>(element: T, attributes: Attributes, children: readonly Child[]): T {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child): child is Node | string => child !== null));
  return element;
}

export type Mark = "held" | "failed" | "unknown" | "none";

const PATHS: Readonly<Record<Mark, readonly string[]>> = {
  held: ["M12 2a10 10 0 1 0 0 20 10 10 0 1 0 0-20", "m7.5 12.4 3.1 3.1 6-6.4"],
  failed: ["M12 2.6 22.4 21H1.6Z", "M12 9.4v5.4m0 2.6v.3"],
  unknown: ["M12 2a10 10 0 1 0 0 20 10 10 0 1 0 0-20", "M9.2 9.6c0-1.7 1.2-2.8 2.9-2.8s2.8 1 2.8 2.6c0 2.3-2.8 2.4-2.8 4.6m0 3v.3"],
  none: ["M12 2a10 10 0 1 0 0 20 10 10 0 1 0 0-20", "M7.5 12h9"],
};

/** A sign that differs by shape, not only by colour. */
export function icon(mark: Mark): SVGElement {
  return svg("svg", { class: `icon mark-${mark}`, viewBox: "0 0 24 24", "aria-hidden": "true" }, ...PATHS[mark].map((d) => svg("path", { d })));
}

/** A sign and its word. */
export function chip(mark: Mark, word: string): HTMLElement {
  return h("span", { class: `tag tag-${mark}` }, icon(mark), word);
}

export function section(id: string, title: string, ...children: readonly Child[]): HTMLElement {
  return h("section", { class: "part", id, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title` }, title), h("div", { class: "body" }, ...children));
}

/** Names and what belongs to them. */
export function facts(rows: readonly (readonly [string, Child])[]): HTMLElement {
  return h("dl", { class: "proof-facts" }, ...rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function code(text: string): HTMLElement {
  return h("code", { class: "code" }, text);
}
