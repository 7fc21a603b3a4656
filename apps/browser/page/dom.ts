/** The elements of the page, by their names in `index.html`. */

/**
 * The element of an id, of the kind that it must be of.
 *
 * @throws {TypeError} when the page has none.
 */
export function find<T extends Element>(id: string, kind: abstract new () => T): T {
  const element = document.getElementById(id);
  if (element instanceof kind) return element;
  throw new TypeError(`Cannot find the ${kind.name} "${id}" in the page: index.html and page.ts must agree`);
}

/** Makes an element with a class and what is in it. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className: string,
  ...content: readonly (string | Node)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  element.append(...content);
  return element;
}
