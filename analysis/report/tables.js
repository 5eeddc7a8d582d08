// Tables sort by a click on a head, and are saved with all digits (CSV) or as shown (LaTeX, booktabs).
for (const table of document.querySelectorAll(".scroll > table")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const held = (cell) => cell.dataset.v ?? cell.textContent;
  const compare = (one, other) => {
    const [a, b] = [held(one), held(other)];
    // What is missing comes last, whichever way.
    if (a === "" || b === "") return null;
    return isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
  };
  heads.forEach((head, column) => {
    const button = tool(head.textContent, "sort by this", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const one of heads) one.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((one, other) => {
        const order = compare(one.cells[column], other.cells[column]);
        if (order === null) return (held(one.cells[column]) === "") - (held(other.cells[column]) === "");
        return down ? -order : order;
      });
      body.append(...rows);
    });
    head.replaceChildren(button);
  });
  const lines = (text) => [heads, ...[...body.rows].map(row => [...row.cells])].map(cells => cells.map(text));
  const quoted = (text) => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const tex = (text) => text.replace(/[\\{}$&#^_%~]/g, one => ({"\\": "\\textbackslash{}", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}"})[one] ?? "\\" + one)
    .replaceAll("–", "--").replaceAll("ρ", "$\\rho$");
  table.parentElement.before(tools(
    tool("CSV", "save this table with all digits", () =>
      save(fileName(table, ".csv"), "text/csv", lines(cell => quoted(held(cell))).map(row => row.join(",") + "\n").join(""))),
    tool("LaTeX", "save this table as shown", () => {
      const [first, ...rest] = lines(cell => tex(cell.textContent)).map(row => row.join(" & ") + " \\\\\n");
      const columns = heads.map(head => head.className ? "l" : "r").join("");
      save(fileName(table, ".tex"), "text/x-tex",
        `\\begin{tabular}{${columns}}\n\\toprule\n${first}\\midrule\n${rest.join("")}\\bottomrule\n\\end{tabular}\n`);
    })));
}
