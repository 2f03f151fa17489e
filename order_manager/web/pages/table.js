// A panel with a table: rows keep their place and their focus while numbers change.

import { el, keyed, setClass, setText } from "./dom.js";

export class Table {
  /** `columns`: [{title, value(row), tone?(row), hint?(row), kind?: "number" | "fill", wide?, draw?(cell, row)}]. */
  constructor(section, { title, columns, key, open, empty, note }) {
    Object.assign(this, { section, columns, key, open, empty, note });
    const name = `${section.id}-title`;
    section.setAttribute("aria-labelledby", name);
    this.count = el("span", { class: "count" });
    this.body = el("tbody");
    this.nothing = el("p", { class: "empty", hidden: true });
    const heads = columns.map((one) => el("th", { scope: "col", class: classOf(one) }, one.title));
    this.table = el("table", {}, el("thead", {}, el("tr", {}, ...heads)), this.body);
    section.append(
      el("h2", { id: name }, title, " ", this.count),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": name }, this.table, this.nothing),
    );
    this.isFirst = true;
  }

  show(rows, total = rows.length, said = `${total}`) {
    setText(this.count, total > rows.length ? `${rows.length} of ${total}` : said);
    this.table.hidden = rows.length === 0;
    this.nothing.hidden = rows.length > 0;
    setText(this.nothing, this.empty);
    keyed(this.body, rows, {
      key: this.key,
      make: (row) => this.make(row),
      update: (element, row) => this.update(element, row),
    });
    this.isFirst = false;
  }

  make(row) {
    const cells = this.columns.map((column, index) =>
      index === 0 ? el("th", { scope: "row" }, el("button", {})) : el("td"),
    );
    const element = el("tr", this.isFirst ? {} : { class: "new" }, ...cells);
    element.addEventListener("click", () => {
      if (!getSelection().toString()) this.open(element.row);
    });
    element.row = row;
    return element;
  }

  update(element, row) {
    element.row = row;
    this.columns.forEach((column, index) => {
      const cell = element.children[index];
      setClass(cell, `${classOf(column)} ${column.tone?.(row) ?? ""}`.trim());
      if (column.draw) {
        column.draw(cell, row);
        return;
      }
      setText(index === 0 ? cell.firstChild : cell, column.value(row));
      const hint = column.hint?.(row) ?? "";
      if (cell.title !== hint) cell.title = hint;
    });
  }
}

function classOf({ kind, wide }) {
  return [kind, wide ? "wide" : ""].filter(Boolean).join(" ");
}
