/* A click on a heading sorts its table, by number where cells begin with one, and back by a second click. */
function value(row, column) {
  const text = row.cells[column].textContent.trim().replaceAll(",", "").replace("−", "-");
  const number = Number.parseFloat(text);
  return Number.isNaN(number) ? text.toLowerCase() : number;
}

function compare(one, other) {
  if (typeof one === typeof other) return one < other ? -1 : Number(one > other);
  return typeof one === "number" ? -1 : 1; // numbers before words, and before empty cells
}

function sortBy(table, head) {
  const ascending = head.getAttribute("aria-sort") === "descending";
  const column = head.cellIndex;
  const rows = [...table.tBodies[0].rows];
  rows.sort((one, other) => (ascending ? 1 : -1) * compare(value(one, column), value(other, column)));
  for (const each of head.parentNode.cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  table.tBodies[0].append(...rows);
}

function prepare() {
  for (const table of document.querySelectorAll(".leaderboard-table table")) {
    table.dataset.sortable = ""; // no class: the theme styles tables that have none
    for (const head of table.tHead.rows[0].cells) {
      head.tabIndex = 0;
      head.addEventListener("click", () => sortBy(table, head));
      head.addEventListener("keydown", (event) => { if (event.key === "Enter") sortBy(table, head); });
    }
  }
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", prepare);
else prepare();
