"use strict";
// Everything is on the page without this: it sorts and searches tables, and opens what is linked to.
(() => {
  const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();

  const compare = (a, b) => {
    const numbers = [Number(a), Number(b)];
    return a !== "" && b !== "" && !numbers.some(Number.isNaN) ? numbers[0] - numbers[1] : a.localeCompare(b);
  };

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const rows = [...body.rows].sort((a, b) => compare(value(a, column), value(b, column)));
        body.append(...(falling ? rows.reverse() : rows));
      });
    });
  }

  for (const form of document.querySelectorAll("form[data-filter]")) {
    const items = [...document.querySelectorAll(form.dataset.filter)];
    const told = form.querySelector("output");
    const apply = () => {
      const words = (form.elements.search?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
      const wanted = [...form.querySelectorAll("select")].filter((s) => s.value);
      let shown = 0;
      for (const item of items) {
        const text = item.textContent.toLowerCase();
        const fits =
          words.every((word) => text.includes(word)) &&
          wanted.every((select) => item.dataset[select.name] === select.value);
        item.hidden = !fits;
        shown += fits;
      }
      told.textContent = `${shown} of ${items.length}`;
    };
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    apply();
  }

  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    for (let place = target; place; place = place.parentElement) {
      if (place.tagName === "DETAILS") place.open = true;
    }
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((part) => (part.open = true));
  });
  addEventListener("afterprint", () => closed.forEach((part) => (part.open = false)));
})();
