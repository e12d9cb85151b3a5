// Small means to draw with. Text goes in as text, never as markup.
export const byId = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

/** Sets text only where it changes, so that nobody hears the same thing twice. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const icon = (level) => byId(`icon-${level}`).content.cloneNode(true);

/** Runs at most once in a while, so that typing stays smooth. */
export function calmly(wait, run) {
  let timer = 0;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(run, wait);
  };
  later.drop = () => clearTimeout(timer);
  return later;
}
