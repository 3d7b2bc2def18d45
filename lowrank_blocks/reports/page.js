"use strict";
(() => {
  const table = document.getElementById("matrices");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const way = document.getElementById("way");
  const filter = document.getElementById("filter");
  const shown = document.getElementById("shown");
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

  function select() {
    const wanted = filter.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const fits = (way.value === "" || row.dataset.way === way.value) && texts.get(row).includes(wanted);
      row.hidden = !fits;
      count += fits;
    }
    shown.value = `${count} of ${rows.length} rows`;
  }

  function key(cell) {
    const text = cell.dataset.sort ?? (cell.classList.contains("number") ? cell.title : null);
    return text === null ? cell.textContent : Number(text);
  }

  function compare(a, b) {
    return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  }

  function sort(head) {
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    const keys = new Map(rows.map((row) => [row, key(row.cells[head.cellIndex])]));
    rows.sort((a, b) => sign * compare(keys.get(a), keys.get(b)));
    body.append(...rows);
  }

  for (const head of table.tHead.rows[0].cells) {
    head.firstElementChild.addEventListener("click", () => sort(head));
  }
  way.addEventListener("change", select);
  filter.addEventListener("input", select);
  select();
})();
