"use strict";
// Sorts tables and picks pictures. Without it the page is whole: tables in the suite's order, all pictures below one another.
(() => {
  const announce = (text) => {
    document.getElementById("announce").textContent = text;
  };

  // Rows of counts and floors (class plain) and headings of panels keep their places.
  const sort = (table, column, ascending) => {
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.matches(".plain, .panel"));
      const value = (row) => {
        const cell = row.cells[column];
        if (column === 0) return cell.textContent.trim();
        return cell && "value" in cell.dataset ? Number(cell.dataset.value) : null;
      };
      const order = (a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        const by = column === 0 ? x.localeCompare(y) : x - y;
        return ascending ? by : -by;
      };
      const end = body.querySelector(".plain");
      rows.sort(order).forEach((row) => body.insertBefore(row, end));
    }
  };

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const now = heading.getAttribute("aria-sort");
        const bestFirst = heading.dataset.better !== "higher";
        const ascending = now ? now !== "ascending" : bestFirst;
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        sort(table, column, ascending);
        announce(`sorted by ${button.textContent.trim()}, ${ascending ? "ascending" : "descending"}`);
      });
    });
  }

  for (const viewer of document.querySelectorAll(".viewer")) {
    const picks = [...viewer.querySelectorAll("select[data-pick]")];
    const show = () => {
      const [picture, bin, method] = picks.map((pick) => pick.value);
      for (const group of viewer.querySelectorAll(".group")) {
        group.hidden = group.dataset.picture !== picture || group.dataset.bin !== bin;
        group.classList.toggle("single", method !== "");
        for (const pair of group.querySelectorAll(".pair")) {
          pair.hidden = method !== "" && pair.dataset.method !== "" && pair.dataset.method !== method;
        }
      }
    };
    picks.forEach((pick) => pick.addEventListener("change", show));
    viewer.querySelector(".controls").hidden = false;
    show();
  }

  // What scrolls sideways can be reached and scrolled from the keyboard.
  const reachable = () => {
    for (const box of document.querySelectorAll(".scroll")) {
      if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  reachable();
  window.addEventListener("resize", reachable);
  document.addEventListener("toggle", reachable, true);

  // Paper cannot be unfolded.
  window.addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details:not([open])")) {
      folded.open = true;
      folded.dataset.folded = "";
    }
  });
  window.addEventListener("afterprint", () => {
    for (const folded of document.querySelectorAll("details[data-folded]")) {
      folded.open = false;
      delete folded.dataset.folded;
    }
  });
})();
