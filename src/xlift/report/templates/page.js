// Sorting and filtering of tables, and files of charts. The page is complete without it.
(() => {
  "use strict";
  const LONG = 12; // Tables with more rows have a filter.
  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  // The number that a text starts with, after marks such as ▲ or Δ; NaN if it starts with other text.
  const leading = (text) => {
    const found = /^[Δ▲▼±(\s]*(?:p\s*<?\s*)?([-−+]?(?:\d[\d,]*)?\.?\d+)/.exec(text);
    return found ? Number(found[1].replaceAll(",", "").replace("−", "-")) : NaN;
  };
  const textOf = (cell) => (cell ? cell.textContent.trim() : "");
  const isEmpty = (text) => text === "" || text === "–";
  const collator = new Intl.Collator("en", { numeric: true });

  const compare = (one, other, descending) => {
    if (isEmpty(one) || isEmpty(other)) return isEmpty(one) - isEmpty(other); // Empty cells are last in both orders.
    const [a, b] = [leading(one), leading(other)];
    const order = (Number.isNaN(a) || Number.isNaN(b) ? 0 : a - b) || collator.compare(one, other);
    return descending ? -order : order;
  };

  // A click sorts in ascending order, the second in descending order, the third in the order of the page.
  const addSorting = (table) => {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const fixed = rows.filter((row) => row.classList.contains("guess"));
    const movable = rows.filter((row) => !fixed.includes(row));
    const heads = [...table.tHead.rows[0].cells];
    if (movable.length < 2) return;
    heads.forEach((head, column) => {
      if (isEmpty(textOf(head))) return;
      const button = make("button", { type: "button", className: "sort" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        const next = before === null ? "ascending" : before === "ascending" ? "descending" : null;
        if (next) head.setAttribute("aria-sort", next);
        const keys = new Map(movable.map((row) => [row, textOf(row.cells[column])]));
        const sorted = next
          ? [...movable].sort((a, b) => compare(keys.get(a), keys.get(b), next === "descending"))
          : movable;
        body.append(...sorted, ...fixed);
      });
    });
  };

  // A text field, and a list of values for each heading with the class "choice".
  const addFilter = (table) => {
    const rows = [...table.tBodies[0].rows];
    const heads = [...table.tHead.rows[0].cells];
    const chosen = heads.map((head, column) => [head, column]).filter(([head]) => head.classList.contains("choice"));
    if (rows.length <= LONG && !chosen.length) return;
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const field = make("input", { type: "search", placeholder: "text in any column" });
    const count = make("span", { className: "count" });
    count.setAttribute("role", "status");
    const lists = chosen.map(([head, column]) => {
      const values = [...new Set(rows.map((row) => textOf(row.cells[column])))].sort(collator.compare);
      const options = values.map((value) => new Option(value.length > 40 ? `${value.slice(0, 39)}…` : value, `=${value}`));
      const list = make("select", {}, new Option("all", ""), ...options);
      list.setAttribute("aria-label", textOf(head));
      return { column, list, name: textOf(head) };
    });
    const update = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, n) => {
        const matches =
          words.every((word) => texts[n].includes(word)) &&
          lists.every(({ column, list }) => !list.value || list.value === `=${textOf(row.cells[column])}`);
        row.hidden = !matches;
        shown += matches;
      });
      count.textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
    };
    const labels = lists.map(({ list, name }) => make("label", {}, `${name} `, list));
    const bar = make("p", { className: "tools" }, make("label", {}, "Filter ", field), ...labels, count);
    bar.addEventListener("input", update);
    update();
    table.closest(".scroll").before(bar);
  };

  const save = (name, blob) => {
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };

  // The chart alone, in dark ink on white.
  const standalone = (svg) => {
    const copy = svg.cloneNode(true);
    copy.removeAttribute("data-csv");
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("color", "#1d1d1b");
    const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, value] of Object.entries({ width: "100%", height: "100%", fill: "#ffffff" })) {
      paper.setAttribute(name, value);
    }
    copy.prepend(paper);
    return new XMLSerializer().serializeToString(copy);
  };

  const savePng = (svg, name) => {
    const image = new Image();
    image.addEventListener("load", () => {
      const canvas = make("canvas", { width: 2 * image.width, height: 2 * image.height });
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(name, blob), "image/png");
    });
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(standalone(svg))}`;
  };

  // Buttons for the numbers of a chart as CSV, and for the chart as SVG and PNG.
  const addFiles = (svg) => {
    const title = svg.getAttribute("aria-label");
    const name = (title.toLowerCase().match(/[\p{L}\p{N}]+/gu) || ["chart"]).join("-").slice(0, 80);
    const kinds = {
      CSV: () => save(`${name}.csv`, new Blob([svg.dataset.csv], { type: "text/csv;charset=utf-8" })),
      SVG: () => save(`${name}.svg`, new Blob([standalone(svg)], { type: "image/svg+xml" })),
      PNG: () => savePng(svg, `${name}.png`),
    };
    const buttons = Object.entries(kinds).map(([kind, action]) => {
      const button = make("button", { type: "button", textContent: kind });
      button.setAttribute("aria-label", `${kind} of: ${title}`);
      button.addEventListener("click", action);
      return button;
    });
    (svg.closest(".scroll") || svg).after(make("p", { className: "files" }, ...buttons));
  };

  document.querySelectorAll("svg[data-csv]").forEach(addFiles);
  for (const table of document.querySelectorAll("main table")) {
    addFilter(table);
    addSorting(table);
  }
})();
