"use strict";
// Everything is on the page without this: it sorts and searches, opens what is linked to,
// and takes images of the wall apart.
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

  const fill = (parent, children) => {
    const fragment = document.createDocumentFragment();
    for (const child of children) fragment.append(child);
    parent.append(fragment);
  };

  for (const form of document.querySelectorAll("form[data-filter]")) {
    const items = [...document.querySelectorAll(form.dataset.filter)];
    const told = form.querySelector("output");
    const order = form.querySelector("select[data-order]");
    let texts;
    const fits = (item, select) =>
      "many" in select.dataset
        ? (item.dataset[select.name] ?? "").split(" ").includes(select.value)
        : item.dataset[select.name] === select.value;
    const apply = () => {
      const words = (form.elements.search?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
      if (words.length) {
        texts ??= items.map((item) =>
          `${item.textContent} ${item.firstElementChild?.getAttribute("aria-label") ?? ""}`.toLowerCase());
      }
      const wanted = [...form.querySelectorAll("select[name]")].filter((s) => s.value);
      let shown = 0;
      items.forEach((item, place) => {
        const kept =
          words.every((word) => texts[place].includes(word)) &&
          wanted.every((select) => fits(item, select)) &&
          (!form.within || form.within(item));
        if (item.hidden === kept) item.hidden = !kept;
        shown += kept;
      });
      told.textContent = `${shown} of ${items.length}`;
      form.dispatchEvent(new Event("filtered"));
    };
    order?.addEventListener("change", () => {
      const sign = { up: 1, down: -1 }[order.value] ?? 0;
      const by = (item) => sign * Number(item.dataset[order.dataset.order]);
      fill(items[0].parentElement, sign ? [...items].sort((a, b) => by(a) - by(b)) : items);
      form.dispatchEvent(new Event("filtered"));
    });
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      for (const field of form.elements) if (field !== order) field.value = "";
      form.choose?.();
      apply();
    });
    form.apply = apply;
    apply();
  }

  for (const link of document.querySelectorAll("a[data-opens]")) {
    link.addEventListener("click", () => {
      const form = document.getElementById(link.dataset.form);
      const wanted = new URLSearchParams(link.dataset.opens);
      for (const select of form.querySelectorAll("select[name]")) select.value = wanted.get(select.name) ?? "";
      form.elements.search.value = "";
      form.choose?.();
      form.apply();
    });
  }

  // The wall of images: one stop of the keyboard, arrows within it, a card for whichever is opened.
  const wall = document.getElementById("wall");
  if (wall) {
    const known = JSON.parse(wall.dataset.known);
    const figures = [...wall.children];
    const places = new Map(figures.map((figure, place) => [figure, place]));
    const dialog = document.getElementById("opened");
    const card = dialog.querySelector("article");
    const part = Object.fromEntries(
      Object.entries({
        title: "h3", tags: ".head p", tag: ".head p span", second: ".head .hint", caption: "caption",
        rows: "tbody", row: "tbody tr", sum: ".reasons .hint", seen: ".seen", maps: ".heat-maps",
        map: ".heat-maps figure", alike: ".alike", near: ".alike .pictures", neighbour: ".alike figure",
        picture: ".head .picture",
      }).map(([name, selector]) => [name, card.querySelector(selector)]),
    );
    let opened;
    let point;

    const visible = () => [...wall.children].filter((figure) => !figure.hidden);
    const sprite = (place) => figures[place].firstElementChild;
    const caption = (place) => known.classes[figures[place].dataset.label];
    const copy = (model, change) => {
      const made = model.cloneNode(true);
      change(made);
      return made;
    };
    const show = (picture, place, px) => {
      const of = sprite(place);
      const scale = px / known.px;
      picture.className = of.className;
      picture.setAttribute("aria-label", of.getAttribute("aria-label"));
      picture.title = of.getAttribute("aria-label");
      picture.style.width = picture.style.height = `${px}px`;
      picture.style.backgroundSize = `${20 * px}px auto`;
      picture.style.backgroundPosition = of.style.backgroundPosition
        .split(" ").map((at) => `${scale * parseFloat(at)}px`).join(" ");
    };

    const open = (figure) => {
      const place = places.get(figure);
      const data = figure.dataset;
      const [second, share, start, rest, lead, listed, near] = data.decision.split("|");
      const [first, other] = [known.classes[data.decided], known.classes[second]];
      const right = data.verdict === "right";
      const parts = listed.split(",").filter(Boolean).map((one) => one.split(" "));
      const largest = Math.max(...parts.map(([, ahead]) => Math.abs(ahead)), 1e-9);
      const left = known.concepts.length - parts.length;
      opened = figure;
      point?.(figure);
      card.className = `decision ${right ? "good" : "bad"}`;
      show(part.picture, place, 144);
      part.title.replaceChildren(`${first} `, copy(document.createElement("small"), (small) => {
        small.textContent = `${Math.round(100 * data.sure)}%`;
      }));
      const tags = [right ? ["good", "right"] : ["bad", "wrong"], ["", `labelled ${caption(place)}`], ["", data.split]];
      if ((data.doubt ?? "").includes("unlike")) tags.push(["warn", "unlike any training image"]);
      part.tags.replaceChildren(...tags.flatMap(([level, text]) => [
        copy(part.tag, (tag) => { tag.className = `tag ${level}`; tag.textContent = text; }), " ",
      ]));
      const name = sprite(place).getAttribute("aria-label").replace(/^.* image /, "");
      part.second.textContent = `second: ${other} ${share} · ${name}`;
      part.caption.textContent = `What sets ${first} ahead of ${other}`;
      part.rows.replaceChildren(...parts.map(([concept, ahead, words]) => copy(part.row, (row) => {
        const [head, axis, number] = row.children;
        const bar = axis.firstElementChild;
        const speaksFor = ahead >= 0;
        head.replaceChildren(known.concepts[concept], copy(document.createElement("small"), (small) => {
          small.textContent = known.standings[words];
        }));
        bar.className = `bar ${speaksFor ? "for" : "against"}`;
        bar.style.cssText = `width:${(50 * Math.abs(ahead)) / largest}%;${speaksFor ? "left" : "right"}:50%`;
        number.textContent = ahead;
      })));
      part.sum.textContent =
        `average image ${start}${left > 0 ? `, ${left} other concepts ${rest}` : ""}: ahead of ${other} by ${lead}`;
      const heat = known.heat[place] ?? [];
      part.seen.hidden = !heat.length;
      part.maps.replaceChildren(...heat.map(({ css, text }) => copy(part.map, (map) => {
        map.firstElementChild.className = `picture heat ${css}`;
        map.firstElementChild.setAttribute("aria-label", `where “${text}” is seen`);
        map.lastElementChild.textContent = text;
      })));
      const neighbours = near.split(" ").filter(Boolean);
      part.alike.hidden = !neighbours.length;
      part.near.replaceChildren(...neighbours.map((one) => copy(part.neighbour, (neighbour) => {
        show(neighbour.firstElementChild, one, 72);
        neighbour.lastElementChild.textContent = caption(one);
      })));
      if (!dialog.open) dialog.showModal();
    };

    const reach = (figure) => {
      wall.querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
      figure?.firstElementChild.setAttribute("tabindex", "0");
      return figure;
    };
    const beside = (figure, key) => {
      const all = visible();
      const at = all.indexOf(figure);
      const wide = all.findIndex((other) => other.offsetTop > all[0].offsetTop);
      const row = wide < 0 ? all.length : wide;
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row, Home: -at, End: all.length - 1 - at }[key];
      return step === undefined ? undefined : all[at + step] ?? figure;
    };

    for (const figure of figures) {
      figure.firstElementChild.setAttribute("role", "button");
    }

    // The map: a region of it is one more filter of the wall.
    const map = document.getElementById("map");
    if (map) {
      const form = document.getElementById("filters");
      const drawing = map.querySelector("svg");
      const [region, here] = [map.querySelector("#region"), map.querySelector("#here")];
      const { width, height } = drawing.viewBox.baseVal;
      const at = new Map(figures.map((figure) => [figure, figure.dataset.at.split(" ").map(Number)]));
      const put = (shape, values) => {
        for (const [name, value] of Object.entries(values)) shape.setAttribute(name, value);
        shape.setAttribute("visibility", "visible");
      };
      let box;
      form.choose = (chosen) => {
        box = chosen;
        here.setAttribute("visibility", "hidden");
        if (!box) {
          form.within = undefined;
          region.setAttribute("visibility", "hidden");
          return;
        }
        const [left, top, right, bottom] = box;
        put(region, { x: left, y: top, width: right - left, height: bottom - top });
        form.within = (figure) => {
          const [x, y] = at.get(figure);
          return x >= left && x <= right && y >= top && y <= bottom;
        };
      };
      const choose = (chosen) => {
        form.choose(chosen);
        form.apply();
      };
      point = (figure) => {
        const [cx, cy] = at.get(figure);
        put(here, { cx, cy });
      };
      const place = (event) => {
        const seen = drawing.getBoundingClientRect();
        return [((event.clientX - seen.left) * width) / seen.width, ((event.clientY - seen.top) * height) / seen.height];
      };
      let from;
      const spanned = (event) => {
        const to = place(event);
        const [x, y] = [0, 1].map((axis) => [from[axis], to[axis]].sort((a, b) => a - b));
        return [x[0], y[0], x[1], y[1]];
      };
      drawing.addEventListener("pointerdown", (event) => {
        from = place(event);
        drawing.setPointerCapture(event.pointerId);
      });
      drawing.addEventListener("pointermove", (event) => {
        if (!from) return;
        const [left, top, right, bottom] = spanned(event);
        put(region, { x: left, y: top, width: right - left, height: bottom - top });
      });
      drawing.addEventListener("pointerup", (event) => {
        if (!from) return;
        const [left, top, right, bottom] = spanned(event);
        from = undefined;
        const clicked = right - left < 8 && bottom - top < 8;
        choose(clicked ? [left - 12, top - 12, right + 12, bottom + 12] : [left, top, right, bottom]);
      });
      drawing.addEventListener("pointercancel", () => {
        from = undefined;
        choose(box);
      });
      map.addEventListener("keydown", (event) => {
        const move = { ArrowLeft: [-40, 0], ArrowRight: [40, 0], ArrowUp: [0, -40], ArrowDown: [0, 40] }[event.key];
        const grow = { "+": 20, "-": -20 }[event.key];
        if (event.key === "Escape") choose();
        else if (move || grow) {
          const [left, top, right, bottom] = box ?? [width / 2 - 80, height / 2 - 80, width / 2 + 80, height / 2 + 80];
          const [x, y] = box && move ? move : [0, 0];
          const wider = grow && right - left + 2 * grow > 20 ? grow : 0;
          choose([left + x - wider, top + y - wider, right + x + wider, bottom + y + wider]);
          event.preventDefault();
        }
      });
    }
    document.getElementById("filters").addEventListener("filtered", () => {
      reach([...wall.children].find((figure) => !figure.hidden));
    });
    reach(figures.find((figure) => !figure.hidden));
    wall.addEventListener("click", (event) => {
      const figure = event.target.closest("figure");
      if (figure) open(reach(figure));
    });
    wall.addEventListener("keydown", (event) => {
      const figure = event.target.closest("figure");
      if (!figure) return;
      if (event.key === "Enter" || event.key === " ") open(figure);
      else {
        const next = beside(figure, event.key);
        if (!next) return;
        reach(next).firstElementChild.focus();
      }
      event.preventDefault();
    });
    dialog.addEventListener("click", (event) => {
      const step = Number(event.target.dataset.step ?? NaN);
      if (step === 0 || event.target === dialog) dialog.close();
      else if (step) open(beside(opened, step > 0 ? "ArrowRight" : "ArrowLeft"));
    });
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowRight" || event.key === "ArrowLeft") open(beside(opened, event.key));
    });
    dialog.addEventListener("close", () => {
      if (opened && !opened.hidden) reach(opened).firstElementChild.focus();
    });
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
